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
import { sameType, typeName, utf8 } from '@nebula/core'
import { nameFault, quote } from './names.ts'
import { BINARY_WIRE, columnType, TEXT_WIRE, widens } from './types.ts'

/** One column as it would be kept, or why it cannot be. */
type Judgement = { readonly accepted: ColumnAcceptance; readonly problem?: string }

/** How a stream would be kept in a new table, or in the one that stands at the target. Pure. */
export function acceptStream(
  request: StreamRequest,
  schema: Schema,
  wire: readonly string[],
  target: TargetInfo | undefined,
): Acceptance {
  const judged = schema.fields.map((field) => (target ? judgeExisting(field, target.schema) : judgeNew(field)))
  const forced = judged.some(({ accepted }, i) => isForeignText(accepted, schema.fields[i]?.declared))
  const columns = judged.map(({ accepted }) =>
    forced && accepted.as.kind === 'native' ? { ...accepted, as: utf8 } : accepted,
  )
  const problems: Problem[] = judged.flatMap(({ problem }, i) => {
    const column = schema.fields[i]?.name ?? ''
    return problem === undefined
      ? []
      : [{ code: 'target_incompatible' as const, column, message: `column ${column}: ${problem}` }]
  })
  if (target) problems.push(...missingColumns(schema, target.schema))
  const identical = schema.fields.every(
    ({ vendor, declared }, i) => vendor === 'postgres' && declared === columns[i]?.type,
  )
  const format = [forced ? '' : BINARY_WIRE, TEXT_WIRE].find((name) => wire.includes(name))
  const fields = schema.fields.map(
    ({ name, nullable }, i) => `${quote(name)} ${columns[i]?.type}${nullable ? '' : ' NOT NULL'}`,
  )
  return {
    columns,
    ...(identical && format !== undefined ? { wire: format } : {}),
    ddl: target ? [] : [`CREATE TABLE ${request.stream} (${fields.join(', ')})`],
    guarantee: 'exactly_once',
    problems,
  }
}

/** True when rows must be sent as text, because the server is to parse values into their types. */
export function needsText(schema: Schema, { columns }: Acceptance): boolean {
  return columns.some((accepted, i) => isForeignText(accepted, schema.fields[i]?.declared))
}

/** Text that is to become something else than text. */
function isForeignText({ as, type }: ColumnAcceptance, _declared: string | undefined): boolean {
  return as.kind === 'utf8' && !/^(text$|character|name$)/.test(type)
}

function judgeNew(field: Field): Judgement {
  const { type, name, vendor, declared } = field
  const fault = nameFault(name)
  const exact: ColumnAcceptance = { as: type, type: declared ?? typeName(type), fidelity: 'exact' }
  if (fault !== undefined) return { accepted: exact, problem: `its name ${fault}` }
  if (vendor === 'postgres' && declared !== undefined) return { accepted: { ...exact, as: field.offers?.[0] ?? type } }
  const own = columnType(type)
  if (!own)
    return {
      accepted: { as: utf8, type: 'text', fidelity: 'lossy', why: `PostgreSQL has no type for ${typeName(type)}` },
    }
  const fidelity = sameType(own.as, type) ? 'exact' : 'widened'
  return { accepted: { ...own, fidelity } }
}

function judgeExisting(field: Field, target: Schema): Judgement {
  const { name, vendor, declared, type } = field
  const column = target.fields.find((candidate) => candidate.name === name)
  const accepted: ColumnAcceptance = { as: type, type: column?.declared ?? '', fidelity: 'exact' }
  if (!column) {
    const near = target.fields.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase())
    return { accepted, problem: near ? `the target spells it ${near.name}` : 'the target has no such column' }
  }
  if (column.generated) return { accepted, problem: 'the target generates it and takes no values' }
  const offers = field.offers ?? [type]
  if (vendor === 'postgres' && declared === column.declared) return { accepted: { ...accepted, as: offers[0] ?? type } }
  const rounds = roundsTo(column, field)
  if (rounds !== undefined) return { accepted: { ...accepted, as: column.type, fidelity: 'lossy', why: rounds } }
  const direct = offers.find((offer) => sameType(offer, column.type) && offer.kind !== 'native')
  if (direct) return { accepted: { ...accepted, as: direct } }
  const parsed = type.kind === 'utf8' && vendor === undefined
  if (parsed) return { accepted: { ...accepted, as: column.type.kind === 'native' ? utf8 : column.type } }
  if (widens(type, column.type)) return { accepted: { ...accepted, as: column.type, fidelity: 'widened' } }
  const [from, to] = [declared ?? typeName(type), column.declared ?? typeName(column.type)]
  return {
    accepted,
    problem: `${from} does not fit into ${to}; write cast: { ${name}: ${castName(column.type)} }, or change the target`,
  }
}

function castName(type: LogicalType): string {
  return type.kind === 'native' ? 'text' : typeName(type)
}

/** What a column with fewer digits of seconds than the source's loses. */
function roundsTo(column: Field, field: Field): string | undefined {
  const [, digits] = /^(?:time|interval).*\((\d)\)/.exec(column.declared ?? '') ?? []
  const timed = ['time', 'timestamp', 'interval'].includes(field.type.kind)
  return digits !== undefined && timed && Number(digits) < 6
    ? `${column.declared} rounds seconds to ${digits} digits`
    : undefined
}

/** Columns of the target that would be null and must not be. */
function missingColumns(schema: Schema, target: Schema): Problem[] {
  const required = target.fields.filter(({ nullable, generated }) => !nullable && generated !== true)
  return required
    .filter(({ name }) => !schema.fields.some((field) => field.name === name))
    .map(({ name }) => ({
      code: 'target_incompatible',
      column: name,
      message: `the target needs a value in ${name}, which the stream does not have`,
    }))
}
