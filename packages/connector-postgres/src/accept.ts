import type { Acceptance, ColumnAcceptance, Field, LogicalType, Problem, Schema, StreamRequest } from '@nebula/core'
import { sameType, typeName, utf8 } from '@nebula/core'
import { nameFault, quote } from './names.ts'
import { BINARY_WIRE, columnType, TEXT_WIRE, widens } from './types.ts'

/** One column as it would be kept, and why it cannot be. */
interface Judgement {
  readonly accepted: ColumnAcceptance
  readonly problem?: string
  readonly code?: Problem['code']
}

/** How a stream would be kept in a new table, or in the one that stands at the target. Pure. */
export function acceptStream(
  request: StreamRequest,
  schema: Schema,
  wire: readonly string[],
  target?: Schema,
): Acceptance {
  const { fields } = schema
  const judged = fields.map((field) => (target ? judgeStanding(field, target) : judgeNew(field)))
  const parsed = judged.some(({ accepted }) => isParsed(accepted))
  // Where the server parses one column, all travel as text: bytes that only PostgreSQL understands have none of ours.
  const columns = judged.map(({ accepted }) =>
    parsed && accepted.as.kind === 'native' ? { ...accepted, as: utf8 } : accepted,
  )
  const problems = judged.flatMap(({ problem, code = 'target_incompatible' }, i): Problem[] => {
    const column = fields[i]?.name ?? ''
    return problem === undefined ? [] : [{ code, column, message: `column ${column}: ${problem}` }]
  })
  const identical = fields.every(({ vendor, declared }, i) => vendor === 'postgres' && declared === columns[i]?.type)
  const format = identical ? [parsed ? '' : BINARY_WIRE, TEXT_WIRE].find((name) => wire.includes(name)) : undefined
  return {
    columns,
    ...(format === undefined ? {} : { wire: format }),
    ddl: target ? [] : [`CREATE TABLE ${request.stream} (${columnsDdl(schema, columns).join(', ')})`],
    guarantee: 'exactly_once',
    problems: target ? [...problems, ...missingColumns(schema, target)] : problems,
  }
}

/** The columns of a new table. */
export function columnsDdl({ fields }: Schema, columns: readonly ColumnAcceptance[]): string[] {
  return fields.map(
    ({ name, nullable }, i) => `${quote(name)} ${columns[i]?.type ?? 'text'}${nullable ? '' : ' NOT NULL'}`,
  )
}

/** True when rows are sent as text, because the server is to parse some values into their types. */
export function needsText({ columns }: Acceptance): boolean {
  return columns.some(isParsed)
}

/** Text that is to become something else than text. */
function isParsed({ as, type }: ColumnAcceptance): boolean {
  return as.kind === 'utf8' && !/^(text$|character|name$)/.test(type)
}

function judgeNew(field: Field): Judgement {
  const { type, name, vendor, declared } = field
  const fault = nameFault(name)
  const ours = vendor === 'postgres' ? declared : undefined
  const own = ours === undefined ? columnType(type) : { type: ours, as: field.offers?.[0] ?? type }
  const as = own?.as ?? type
  const fidelity = ours !== undefined || sameType(as, type) ? 'exact' : 'widened'
  if (!own) {
    const accepted: ColumnAcceptance = { as: utf8, type: 'text', fidelity: 'exact' }
    return {
      accepted,
      code: 'unsupported',
      problem: `PostgreSQL has no column for ${typeName(type)}; leave it out, or cast it`,
    }
  }
  return {
    accepted: { as, type: own.type, fidelity },
    ...(fault === undefined ? {} : { problem: `its name ${fault}` }),
  }
}

/** How a column of the stream fits the one of its name in the table that stands. */
function judgeStanding(field: Field, { fields }: Schema): Judgement {
  const { name, type } = field
  const column = fields.find((candidate) => candidate.name === name)
  if (column?.generated) return refused(type, 'the target generates it and takes no values')
  if (column) return fit(field, column)
  const near = fields.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase())
  return refused(type, near ? `the target spells it ${near.name}` : 'the target has no such column')
}

function refused(as: LogicalType, problem: string): Judgement {
  return { accepted: { as, type: 'text', fidelity: 'exact' }, problem }
}

function fit(field: Field, column: Field): Judgement {
  const { vendor, declared, type, offers = [type] } = field
  const target = column.declared ?? ''
  const keep = (as: LogicalType, fidelity: ColumnAcceptance['fidelity']): Judgement => ({
    accepted: { as, type: target, fidelity },
  })
  if (vendor === 'postgres' && declared === target) return keep(offers[0] ?? type, 'exact')
  const why = lossOf(field, target)
  if (why !== undefined) return { accepted: { as: column.type, type: target, fidelity: 'lossy', why } }
  const direct = offers.find((offer) => sameType(offer, column.type) && offer.kind !== 'native')
  if (direct) return keep(direct, 'exact')
  // Text of no declared type, as files have it, is read as what the target has.
  if (type.kind === 'utf8' && vendor === undefined)
    return keep(column.type.kind === 'native' ? utf8 : column.type, 'exact')
  if (widens(type, column.type)) return keep(column.type, 'widened')
  const cast = column.type.kind === 'native' ? 'text' : typeName(column.type)
  return refused(
    type,
    `${declared ?? typeName(type)} does not fit into ${target}; write cast: { ${field.name}: ${cast} }, or change the target`,
  )
}

/** What the server would change without a word. */
function lossOf({ type, declared }: Field, target: string): string | undefined {
  if (declared === 'json' && target === 'jsonb') return 'jsonb keeps neither spaces nor repeated keys'
  const digits = /^(?:time|interval).*\(([0-5])\)/.exec(target)?.[1]
  const timed = type.kind === 'time' || type.kind === 'timestamp' || type.kind === 'interval'
  return timed && digits !== undefined ? `${target} rounds seconds to ${digits} digits` : undefined
}

/** Columns of the target that would be null and must not be. */
function missingColumns(schema: Schema, target: Schema): Problem[] {
  const missing = target.fields.filter(({ name, nullable, generated }) => {
    return !nullable && generated !== true && !schema.fields.some((field) => field.name === name)
  })
  return missing.map(({ name }) => {
    return {
      code: 'target_incompatible',
      column: name,
      message: `the target needs a value in ${name}, which the stream does not have`,
    }
  })
}
