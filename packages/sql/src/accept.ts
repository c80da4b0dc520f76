import type { Acceptance, ColumnAcceptance, Field, LogicalType, Problem, Schema, StreamRequest } from '@nebula/core'
import { sameType, typeName, utf8, widens } from '@nebula/core'
import type { ColumnType, SqlTypes } from './dialect.ts'
import type { Names } from './names.ts'

/** One column as it would be kept, and why it cannot be. */
interface Judgement {
  readonly accepted: ColumnAcceptance
  readonly problem?: string
  readonly code?: Problem['code']
}

/** What is asked of a destination about one stream. */
export interface Offer {
  readonly request: StreamRequest
  readonly schema: Schema
  readonly wire: readonly string[]
  /** Columns of the table that stands at the target. */
  readonly standing: Schema | undefined
}

/** Where more columns are changed, it is cheaper to encode all of them. */
const REPLACED_SHARE = 0.5

/** How a stream would be kept in a new table, or in the one that stands at the target. Pure. */
export function acceptStream(types: SqlTypes, names: Names, { request, schema, wire, standing }: Offer): Acceptance {
  const { fields } = schema
  const judged = fields.map((field) => {
    return standing ? judgeStanding(types, field, standing) : judgeNew(types, names, field)
  })
  const parsed = judged.some(({ accepted }) => isParsed(types, accepted))
  // Where the server parses one column, all travel as text: bytes that only the vendor understands have none of ours.
  const columns = judged.map(({ accepted }) =>
    parsed && accepted.as.kind === 'native' ? { ...accepted, as: utf8 } : accepted,
  )
  const problems = judged.flatMap(({ problem, code = 'target_incompatible' }, i): Problem[] => {
    const column = fields[i]?.name ?? ''
    return problem === undefined ? [] : [{ code, column, message: `column ${column}: ${problem}` }]
  })
  const replaced = fields.flatMap(({ vendor, declared }, i) => {
    return vendor === types.vendor && declared === columns[i]?.type ? [] : [i]
  })
  const formats = replaced.length === 0 ? types.wires(parsed) : parsed ? [] : [types.replaceable]
  const format = formats.find((name) => name !== undefined && wire.includes(name))
  const pays = replaced.length <= fields.length * REPLACED_SHARE
  return {
    columns,
    ...(format !== undefined && pays ? { wire: format, replaced } : {}),
    ddl: standing ? [] : [`CREATE TABLE ${request.stream} (${columnsDdl(names, schema, columns).join(', ')})`],
    guarantee: 'exactly_once',
    problems: standing ? [...problems, ...missingColumns(schema, standing)] : problems,
  }
}

/** The columns of a new table. */
export function columnsDdl(names: Names, { fields }: Schema, columns: readonly ColumnAcceptance[]): string[] {
  return fields.map(
    ({ name, nullable }, i) => `${names.quote(name)} ${columns[i]?.type ?? 'text'}${nullable ? '' : ' NOT NULL'}`,
  )
}

/** True when rows are sent as text, because the server is to parse some values into their types. */
export function needsText(types: SqlTypes, { columns }: Acceptance): boolean {
  return columns.some((column) => isParsed(types, column))
}

function isParsed(types: SqlTypes, { as, type }: ColumnAcceptance): boolean {
  return as.kind === 'utf8' && !types.isText(type)
}

function judgeNew(types: SqlTypes, names: Names, field: Field): Judgement {
  const { type, name, vendor, declared } = field
  const ours = vendor === types.vendor ? declared : undefined
  const own = ours === undefined ? columnFor(types, field) : { type: ours, as: field.offers?.[0] ?? type }
  if (!own) {
    const problem = `${names.vendor} has no column for ${typeName(type)}; leave it out, or cast it`
    return { accepted: { as: utf8, type: 'text', fidelity: 'exact' }, code: 'unsupported', problem }
  }
  const as = own.as ?? type
  const fidelity = ours !== undefined || sameType(as, type) ? 'exact' : 'widened'
  const fault = names.columnFault(name)
  return {
    accepted: { as, type: own.type, fidelity },
    ...(fault === undefined ? {} : { problem: `its name ${fault}` }),
  }
}

/** The column for a type of another system: for its own type, else for the first that the source offers in its place. */
function columnFor(types: SqlTypes, { type, offers = [] }: Field): ColumnType | undefined {
  for (const as of [type, ...offers]) {
    const column = types.columnType(as)
    if (column) return { as, ...column }
  }
  return undefined
}

/** How a column of the stream fits the one of its name in the table that stands. */
function judgeStanding(types: SqlTypes, field: Field, { fields }: Schema): Judgement {
  const { name, type } = field
  const column = fields.find((candidate) => candidate.name === name)
  if (column?.generated) return refused(type, 'the target generates it and takes no values')
  if (column) return fit(types, field, column)
  const near = fields.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase())
  return refused(type, near ? `the target spells it ${near.name}` : 'the target has no such column')
}

function refused(as: LogicalType, problem: string): Judgement {
  return { accepted: { as, type: 'text', fidelity: 'exact' }, problem }
}

function fit(types: SqlTypes, field: Field, column: Field): Judgement {
  const { vendor, declared, type, offers = [type] } = field
  const target = column.declared ?? ''
  const keep = (as: LogicalType, fidelity: ColumnAcceptance['fidelity']): Judgement => ({
    accepted: { as, type: target, fidelity },
  })
  if (vendor === types.vendor && declared === target) return keep(offers[0] ?? type, 'exact')
  const why = types.lossOf(field, target)
  if (why !== undefined) return { accepted: { as: column.type, type: target, fidelity: 'lossy', why } }
  const direct = offers.find((offer) => sameType(offer, column.type) && offer.kind !== 'native')
  if (direct) return keep(direct, 'exact')
  // Text of no declared type, as files have it, is read as what the target has.
  if (type.kind === 'utf8' && vendor === undefined)
    return keep(column.type.kind === 'native' ? utf8 : column.type, 'exact')
  if (widens(type, column.type)) return keep(column.type, 'widened')
  const cast = column.type.kind === 'native' ? 'text' : typeName(column.type)
  const change = `write cast: { ${field.name}: ${cast} }, or change the target`
  return refused(type, `${declared ?? typeName(type)} does not fit into ${target}; ${change}`)
}

/** Columns of the target that would be null and must not be. */
function missingColumns(schema: Schema, { fields }: Schema): Problem[] {
  const missing = fields.filter(({ name, nullable, generated }) => {
    return !nullable && generated !== true && !schema.fields.some((field) => field.name === name)
  })
  return missing.map(({ name }) => {
    const message = `the target needs a value in ${name}, which the stream does not have`
    return { code: 'target_incompatible', column: name, message }
  })
}
