import type { Plan, PreviousPlan, ReadStream } from '@nebula/core'
import type { Session } from './connection.ts'
import type { TableName } from './names.ts'
import { parseTable, quote, quoteTable } from './names.ts'

/** The part of a stream that one task reads: pages `from` to `to` of one table, or a whole view. JSON. */
export interface PartitionRange extends TableName {
  /** Without the tables that inherit from it. */
  readonly only: boolean
  readonly from?: number
  readonly to?: number
}

/** The query of a task. Columns are named: children of a table may have them in another order. */
export function selectRange({ schema, request, wire }: ReadStream, range: PartitionRange): string {
  const columns = schema.fields.map(({ name, type, vendor, declared }) => {
    const column = quote(name)
    const text = type.kind === 'utf8' && !TEXT_TYPES.test(declared ?? '')
    if (wire === 'csv' && declared === 'boolean') return `${column}::text`
    if (wire !== undefined || vendor !== 'postgres' || !text) return column
    // The output function of any type, which a cast to text does not always use; null stays null.
    return declared === 'boolean' ? `${column}::text` : `CASE num_nulls(${column}) WHEN 0 THEN concat(${column}) END`
  })
  const pages = [
    ...(range.from === undefined ? [] : [`ctid >= '(${range.from},0)'::tid`]),
    ...(range.to === undefined ? [] : [`ctid < '(${range.to},0)'::tid`]),
  ]
  const where = pages.length === 0 ? '' : ` WHERE ${pages.join(' AND ')}`
  const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
  return `SELECT ${columns.join(', ')} FROM ${range.only ? 'ONLY ' : ''}${quoteTable(range)}${where}${limit}`
}

/** Types whose binary form is their text. */
const TEXT_TYPES = /^(text|character|name$)/

const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'

export async function planStreams(
  session: Session,
  streams: readonly ReadStream[],
  _partitionBytes: number,
  _previous: PreviousPlan | undefined,
): Promise<Plan> {
  await session.query(BEGIN)
  const [row] = await session.query<{ snapshot: string }>('SELECT pg_export_snapshot() AS snapshot')
  const partitions = streams.map(({ request: { stream } }) => {
    const range: PartitionRange = { ...parseTable(stream, 'public'), only: false }
    return { id: `${stream}#00000`, stream, range: { ...range } }
  })
  return { partitions, snapshot: row?.snapshot ?? null, restart: [] }
}
