import type { Partition, Plan, PreviousPlan, ReadStream, StreamRequest } from '@nebula/core'
import { NebulaError, schemaFingerprint } from '@nebula/core'
import type { TableName, TableRange } from '@nebula/sql'
import { compileCondition, digestQuery, mergeRanges } from '@nebula/sql'
import type { Session } from './connection.ts'
import { DIGESTS, output, textOf } from './digest.ts'
import { NAMES, TYPES } from './types.ts'

/** The part of a stream that one task reads: pages `from` to `to` of one table, or a whole view. JSON. */
export interface PartitionRange extends TableRange {
  /** Without the tables that inherit from it. */
  readonly only: boolean
}

/** A relation of a stream's inheritance tree. */
interface Relation extends TableName {
  readonly place: number
  readonly root: boolean
  readonly kind: string
  readonly oid: string
  readonly file: string | null
  readonly pages: number
  readonly bytes: number
  readonly heap: boolean
  readonly secured: boolean
  readonly readable: boolean
  readonly columns: string
}

/** What must be as it was for committed partitions to stay. JSON; 64-bit numbers as text. */
interface Proof {
  readonly cluster: string
  /** Every transaction below had ended when the snapshot was taken; none from `xmax` had begun. */
  readonly xmin: string
  readonly xmax: string
  readonly streams: { readonly [stream: string]: string }
}

const RELATIONS = `WITH RECURSIVE tree AS (
  SELECT s.place, c.oid, true AS root FROM unnest($1::text[], $2::text[]) WITH ORDINALITY s(nsp, rel, place)
    JOIN pg_namespace n ON n.nspname = s.nsp JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.rel
  UNION SELECT t.place, i.inhrelid, false FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid)
SELECT t.place::int - 1 AS place, t.root, n.nspname AS schema, c.relname AS table, c.relkind AS kind, c.oid::text,
  pg_relation_filenode(c.oid)::text AS file, pg_relation_size(c.oid)::float8 / current_setting('block_size')::int AS pages,
  pg_table_size(c.oid)::float8 AS bytes, coalesce(m.amname = 'heap', false) AS heap,
  c.relrowsecurity AS secured, has_table_privilege(c.oid, 'SELECT') AS readable,
  (SELECT string_agg(concat_ws(' ', attname, atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns
FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am m ON m.oid = c.relam
ORDER BY t.place, t.root DESC, n.nspname, c.relname`

/** From this version on, a range of ctid reads only its pages. */
const TID_RANGE_SCAN = 140_000

/**
 * Takes the snapshot that all tasks read under, in a transaction that stays open in `session`, and cuts streams into
 * ranges of pages. Committed partitions of a previous plan stay where it is proven that their rows did not change.
 */
export async function planStreams(
  session: Session,
  streams: readonly ReadStream[],
  partitionBytes: number,
  previous: PreviousPlan | undefined,
): Promise<Plan> {
  const names = streams.map(({ request }) => NAMES.parse(request.stream, 'public'))
  const { snapshot, version, ...now } = await openSnapshot(session, names)
  const relations = await session.query<Relation>(RELATIONS, [names.map((n) => n.schema), names.map((n) => n.table)])
  for (const view of relations.filter(({ kind }) => kind === 'm'))
    await session.query(`SELECT FROM ${NAMES.table(view)} LIMIT 0`)
  const partitions: Partition[] = []
  const restart: { stream: string; reason: string }[] = []
  const fingerprints: { [stream: string]: string } = {}
  for (const [place, stream] of streams.entries()) {
    const { request } = stream
    const name = request.stream
    const tree = relations.filter((relation) => relation.place === place)
    if (tree.length === 0)
      throw new NebulaError('stream_not_found', { message: `${name} is no longer there.`, stream: name })
    const fingerprint = JSON.stringify([schemaFingerprint(stream.schema), tree.map((r) => [r.oid, r.file, r.columns])])
    fingerprints[name] = fingerprint
    const earlier = previous?.plan.partitions.filter((partition) => partition.stream === name) ?? []
    const reason = await doubt(session, { request, earlier, previous, now, fingerprint, whole: isWhole(stream, tree) })
    if (reason !== undefined) restart.push({ stream: name, reason })
    const kept = reason === undefined && committedOf(earlier, previous).length > 0
    partitions.push(...(kept ? earlier : cut(stream, tree, version < TID_RANGE_SCAN ? Infinity : partitionBytes)))
  }
  return { partitions, snapshot, proof: { ...now, streams: fingerprints }, restart }
}

interface Snapshot extends Omit<Proof, 'streams'> {
  readonly snapshot: string
  readonly version: number
}

/** Locks before it looks: a table that is truncated or rewritten later would be empty, or full, to this snapshot. */
async function openSnapshot(session: Session, names: readonly TableName[]): Promise<Snapshot> {
  const lockable = await session.query<TableName>(
    `SELECT n.nspname AS schema, c.relname AS table FROM unnest($1::text[], $2::text[]) s(nsp, rel)
     JOIN pg_namespace n ON n.nspname = s.nsp JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.rel WHERE c.relkind IN ('r', 'p')`,
    [names.map(({ schema }) => schema), names.map(({ table }) => table)],
  )
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
  if (lockable.length > 0)
    await session.query(`LOCK TABLE ${lockable.map((table) => NAMES.table(table)).join(', ')} IN ACCESS SHARE MODE`)
  const [row] = await session.query<Snapshot>(
    `SELECT pg_export_snapshot() AS snapshot, current_setting('server_version_num')::int AS version,
     (SELECT concat_ws(' ', system_identifier, timeline_id) FROM pg_control_system(), pg_control_checkpoint()) AS cluster,
     txid_snapshot_xmin(txid_current_snapshot())::text AS xmin, txid_snapshot_xmax(txid_current_snapshot())::text AS xmax`,
  )
  if (!row) throw new NebulaError('internal', { message: 'A snapshot has one row.' })
  return row
}

/** Views, foreign tables, limits, and trees whose tables the user may not read one by one, are read in one piece. */
function isWhole({ request }: ReadStream, tree: readonly Relation[]): boolean {
  return request.limit !== undefined || tree.some((r) => (r.kind !== 'p' && !r.heap) || r.secured || !r.readable)
}

function cut(stream: ReadStream, tree: readonly Relation[], partitionBytes: number): Partition[] {
  const name = stream.request.stream
  const whole = isWhole(stream, tree)
  const leaves = whole ? tree.slice(0, 1) : tree.filter(({ kind }) => kind !== 'p')
  const ranges = leaves.flatMap(({ schema, table, pages, bytes }): PartitionRange[] => {
    const range = { schema, table, only: !whole }
    const count = whole ? 1 : Math.max(1, Math.min(pages, Math.ceil(bytes / partitionBytes)))
    const step = Math.ceil(pages / count)
    return Array.from({ length: count }, (_, i) => ({
      ...range,
      ...(i === 0 ? {} : { from: i * step }),
      ...(i === count - 1 ? {} : { to: (i + 1) * step }),
    }))
  })
  return ranges.map((range, i) => ({ id: `${name}#${String(i).padStart(5, '0')}`, stream: name, range: { ...range } }))
}

interface Doubted {
  readonly request: StreamRequest
  readonly earlier: readonly Partition[]
  readonly previous: PreviousPlan | undefined
  readonly now: Omit<Proof, 'streams'>
  readonly fingerprint: string
  readonly whole: boolean
}

function committedOf(earlier: readonly Partition[], previous: PreviousPlan | undefined): Partition[] {
  const done = new Set(previous?.committed.map(({ partition }) => partition))
  return earlier.filter(({ id }) => done.has(id))
}

/** Transaction numbers are compared modulo 2 ** 32: only the nearer half is in order, and half of that is safe. */
const MAX_DISTANCE = 1n << 30n

/**
 * Why the committed partitions of a stream may no longer fit; undefined when they do. The rows that are visible now in
 * their pages were all written by transactions that had ended before the old snapshot: so each was visible then, too.
 * When there are as many as were read, they are the same rows. What they and the other pages hold now is one picture.
 */
async function doubt(
  session: Session,
  { request, earlier, previous, now, fingerprint, whole }: Doubted,
): Promise<string | undefined> {
  const { stream: name, nativeFilter } = request
  const committed = committedOf(earlier, previous)
  if (committed.length === 0) return undefined
  if (nativeFilter !== undefined) return 'what its native_filter wants may be other rows now'
  const proof = previous?.plan.proof as unknown as Proof | undefined
  if (!proof || proof.streams[name] === undefined) return 'nothing is known of its state before the interruption'
  if (whole) return 'it is read in one piece, and the snapshot of what was read is lost'
  if (proof.cluster !== now.cluster) return 'the server is another one, or was restored'
  if (proof.streams[name] !== fingerprint) return 'it was altered, truncated or rewritten'
  const distance = BigInt(now.xmax) - BigInt(proof.xmin)
  if (distance < 0n || distance > MAX_DISTANCE) return 'too many transactions have passed'
  const ranges = mergeRanges(committed.map(({ range }) => range as unknown as PartitionRange))
  const old = String(BigInt(proof.xmin) & 0xffffffffn)
  const counts = ranges.map(
    (range) =>
      `SELECT count(*) AS rows, count(*) FILTER (WHERE age(xmin) <= age('${old}'::xid)) AS newer ${fromRange(range, request)}`,
  )
  const [found] = await session.query<{ rows: string; newer: string }>(
    `SELECT sum(rows) AS rows, sum(newer) AS newer FROM (${counts.join(' UNION ALL ')}) counted`,
  )
  const ids = new Set(committed.map(({ id }) => id))
  const read = previous?.committed.reduce((sum, part) => sum + (ids.has(part.partition) ? part.read : 0), 0)
  if (found?.newer !== '0') return 'rows that were read have changed, or new ones lie between them'
  return Number(found.rows) === read ? undefined : 'rows that were read are gone'
}

function fromRange(range: PartitionRange, { where, nativeFilter }: StreamRequest): string {
  const conditions = [
    ...(range.from === undefined ? [] : [`ctid >= '(${range.from},0)'::tid`]),
    ...(range.to === undefined ? [] : [`ctid < '(${range.to},0)'::tid`]),
    ...(where ? [compileCondition(where, { names: NAMES, types: TYPES, text: comparedText })] : []),
    ...(nativeFilter === undefined ? [] : [`(${nativeFilter}\n)`]),
  ]
  return `FROM ${range.only ? 'ONLY ' : ''}${NAMES.table(range)}${conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`}`
}

/** By code point; a char(n) with its blanks. */
function comparedText(column: string, declared = ''): string {
  return `(${/^(text$|name$|character varying)/.test(declared) ? column : output(column)}) COLLATE "C"`
}

/** The query of a task. Columns are named: children of a table may have them in another order. */
export function selectRange({ schema, request, wire, digest }: ReadStream, range: PartitionRange): string {
  if (digest) return digestQuery(DIGESTS, digest, fromRange(range, request), range.only ? 'ctid' : `''`)
  const columns = schema.fields.map((field) => {
    const column = NAMES.quote(field.name)
    const asText = wire === undefined ? field.type.kind === 'utf8' : wire === 'csv' && field.declared === 'boolean'
    return asText ? textOf(field, column) : column
  })
  const limit = request.limit === undefined ? '' : ` LIMIT ${request.limit}`
  return `SELECT ${columns.join(', ')} ${fromRange(range, request)}${limit}`
}
