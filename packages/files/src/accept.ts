import type {
  Acceptance,
  ColumnAcceptance,
  Field,
  LogicalType,
  Problem,
  Schema,
  StreamRequest,
  TargetInfo,
} from '@nebula/core'
import { typeName, utf8 } from '@nebula/core'
import type { Format } from '@nebula/formats'

/** Partitions are committed one after the other: smaller ones wait less for each other. */
const PARTITION_BYTES = 8_000_000

/** What stands at a target, and whether it is under another name than this destination would give it. */
export interface FileTarget extends TargetInfo {
  readonly beside?: { readonly name: string; readonly own: string }
}

/** A text file keeps every type that has an exact text. */
export function acceptText(
  format: Format,
  request: StreamRequest,
  schema: Schema,
  offer: { readonly wire: readonly string[]; readonly target: FileTarget | undefined },
): Acceptance {
  const columns = schema.fields.map(acceptField)
  const problems = schema.fields.flatMap(problemsOf)
  if (request.mode === 'append' && offer.target) problems.push(...otherColumns(schema, offer.target.schema))
  if (request.mode === 'overwrite' && offer.target?.beside) problems.push(...twoFiles(offer.target.beside))
  const wire = offer.wire.find((name) => name === format.wire)
  return {
    columns,
    ddl: [],
    guarantee: 'exactly_once',
    partitionBytes: PARTITION_BYTES,
    problems,
    ...(wire === undefined ? {} : { wire }),
  }
}

/** A column that has no text is kept as what its source offers in its place. */
function acceptField({ type, offers = [] }: Field): ColumnAcceptance {
  if (hasText(type)) return { as: type, type: 'text', fidelity: 'exact' }
  const as = offers.find(hasText) ?? utf8
  return { as, type: 'text', fidelity: 'widened', why: `${typeName(type)} is kept as its text` }
}

function problemsOf(field: Field): Problem[] {
  if (field.name === '') {
    const message = 'a column has an empty name, which readers of the file replace; rename it'
    return [{ code: 'target_incompatible', message, column: '' }]
  }
  if ([field.type, ...(field.offers ?? [])].some(hasText)) return []
  const message = `column ${field.name}: ${typeName(field.type)} has no text form`
  return [{ code: 'unsupported', message, column: field.name }]
}

function hasText({ kind }: LogicalType): boolean {
  return kind !== 'native' && kind !== 'list' && kind !== 'struct'
}

/** Whoever reads the folder would find the stream twice. */
function twoFiles({ name, own }: { readonly name: string; readonly own: string }): Problem[] {
  const message = `${own} would stand beside ${name}, as the same stream; remove that, or set advanced.compression as it was`
  return [{ code: 'target_incompatible', message }]
}

/** Files of one stream have the same header, so that they can be read as one. */
function otherColumns(schema: Schema, target: Schema): Problem[] {
  const [names, standing] = [schema, target].map(({ fields }) => fields.map((field) => field.name))
  if (JSON.stringify(names) === JSON.stringify(standing)) return []
  const message = `the target has the columns ${standing?.join(', ')} instead of ${names?.join(', ')}`
  return [{ code: 'target_incompatible', message }]
}
