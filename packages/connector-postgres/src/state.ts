import { createHash } from 'node:crypto'
import type { Checkpoint, Recalled, Run, StreamPlan, WriteTask } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Session } from './connection.ts'
import type { TableName } from './names.ts'
import { literal, parseTable, quoteTable } from './names.ts'

/**
 * The table beside the targets in which runs and checkpoints are kept. One row per partition; partition '' is the run
 * itself, with its id in `stream`; pipeline '' are the tables that Nebula wrote, by their oid.
 */
export class State {
  readonly table: string
  readonly #schema: string

  constructor(schema: string) {
    this.#schema = schema
    this.table = quoteTable({ schema, table: 'nebula_checkpoints' })
  }

  async exists(session: Session): Promise<boolean> {
    const [row] = await session.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [this.table])
    return row?.found === true
  }

  /** Inside a transaction: waits for other runs that create objects here, then creates schema and table. */
  async create(session: Session): Promise<void> {
    await session.query(`SELECT pg_advisory_xact_lock(hashtext('nebula'), hashtext(${literal(this.table)}))`)
    await createSchema(session, this.#schema)
    await session.query(`CREATE TABLE IF NOT EXISTS ${this.table} (
      pipeline text, partition text, epoch bigint, sequence bigint, stream text, generation bigint, content json,
      updated timestamptz DEFAULT now(), PRIMARY KEY (pipeline, partition))`)
  }

  async recall(session: Session, pipeline: string): Promise<Recalled | undefined> {
    if (!(await this.exists(session))) return undefined
    const rows = await session.query<{ partition: string; content: unknown }>(
      `SELECT partition, content FROM ${this.table} WHERE pipeline = $1 ORDER BY partition`,
      [pipeline],
    )
    const stored = rows.find(({ partition }) => partition === '')?.content as StoredRun | undefined
    if (!stored) return undefined
    const checkpoints = rows.filter(({ partition }) => partition !== '').map(({ content }) => content as Checkpoint)
    return { ...stored, checkpoints }
  }

  /** Locks the run's row. Throws `fenced` when a newer run has taken over; undefined when there is none. */
  async lock(session: Session, { pipeline, id, epoch }: Run): Promise<StoredRun | undefined> {
    const [row] = await session.query<{ epoch: string; stream: string; content: StoredRun }>(
      `SELECT epoch, stream, content FROM ${this.table} WHERE pipeline = $1 AND partition = '' FOR UPDATE`,
      [pipeline],
    )
    const newer = row && (Number(row.epoch) > epoch || (Number(row.epoch) === epoch && row.stream !== id))
    if (newer) throw fenced()
    return row?.content
  }

  async store(session: Session, run: Run, finished: readonly string[], ended = false): Promise<void> {
    const content = JSON.stringify({ run, finished, ended } satisfies StoredRun)
    await session.query(
      `INSERT INTO ${this.table} (pipeline, partition, epoch, sequence, stream, content) VALUES ($1, '', $2, 0, $3, $4)
       ON CONFLICT (pipeline, partition) DO UPDATE
       SET epoch = excluded.epoch, stream = excluded.stream, content = excluded.content, updated = now()`,
      [run.pipeline, run.epoch, run.id, content],
    )
  }

  /** Inside the transaction of the rows. Throws `fenced` or `already_committed`. */
  async commit(session: Session, task: WriteTask, checkpoint: Checkpoint): Promise<void> {
    const { run, partition, stream } = task
    const [row] = await session.query<{ epoch: string; stream: string }>(
      `SELECT epoch, stream FROM ${this.table} WHERE pipeline = $1 AND partition = '' FOR SHARE`,
      [run.pipeline],
    )
    if (Number(row?.epoch) !== run.epoch || row?.stream !== run.id) throw fenced()
    const stored = await session.query(
      `INSERT INTO ${this.table} AS t (pipeline, partition, epoch, sequence, stream, generation, content)
       VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (pipeline, partition) DO UPDATE
       SET epoch = excluded.epoch, sequence = excluded.sequence, content = excluded.content, updated = now()
       WHERE t.sequence < excluded.sequence RETURNING 1`,
      [
        run.pipeline,
        partition.id,
        run.epoch,
        checkpoint.sequence,
        partition.stream,
        stream.generation,
        JSON.stringify(checkpoint),
      ],
    )
    if (stored.length > 0) return
    throw new NebulaError('already_committed', { message: `Partition ${partition.id} was already committed.` })
  }

  /** Whether a commit whose answer was lost took place. */
  async committed(session: Session, { run, partition }: WriteTask, { sequence }: Checkpoint): Promise<boolean> {
    const rows = await session.query(
      `SELECT 1 FROM ${this.table} WHERE pipeline = $1 AND partition = $2 AND epoch = $3 AND sequence = $4`,
      [run.pipeline, partition.id, run.epoch, sequence],
    )
    return rows.length > 0
  }

  /** Forgets the checkpoints of streams; with `keep`, only those of other generations. */
  async forget(session: Session, pipeline: string, streams: readonly StreamPlan[], keep: boolean): Promise<void> {
    await session.query(
      `DELETE FROM ${this.table} t USING unnest($2::text[], $3::bigint[]) s(stream, generation)
       WHERE t.pipeline = $1 AND t.partition <> '' AND t.stream = s.stream AND NOT ($4 AND t.generation = s.generation)`,
      [pipeline, streams.map(({ request }) => request.stream), streams.map(({ generation }) => generation), keep],
    )
  }

  async forgetAll(session: Session, pipeline: string, run: boolean): Promise<void> {
    await session.query(`DELETE FROM ${this.table} WHERE pipeline = $1 AND (partition <> '' OR $2)`, [pipeline, run])
  }

  /** Remembers that Nebula wrote a table, and forgets those that are gone. */
  async own(session: Session, target: string): Promise<void> {
    await session.query(
      `INSERT INTO ${this.table} (pipeline, partition, stream) SELECT '', $1::regclass::oid::text, $1 ON CONFLICT DO NOTHING`,
      [target],
    )
    await session.query(
      `DELETE FROM ${this.table} WHERE pipeline = '' AND partition NOT IN (SELECT oid::text FROM pg_class)`,
    )
  }

  /** The oids of tables that Nebula wrote. */
  async owned(session: Session): Promise<Set<number>> {
    if (!(await this.exists(session))) return new Set()
    const rows = await session.query<{ oid: string }>(`SELECT partition AS oid FROM ${this.table} WHERE pipeline = ''`)
    return new Set(rows.map(({ oid }) => Number(oid)))
  }
}

export interface StoredRun {
  readonly run: Run
  readonly finished: readonly string[]
  readonly ended: boolean
}

/** Creates a schema that is missing; asking first, because creating needs a privilege even where it exists. */
export async function createSchema(session: Session, schema: string): Promise<void> {
  const found = await session.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema])
  if (found.length === 0) await session.query(`CREATE SCHEMA IF NOT EXISTS "${schema.replaceAll('"', '""')}"`)
}

/** Where a stream is loaded before it is moved into its target: a table of its own for every run and generation. */
export function stagingTable(run: Run, stream: StreamPlan, defaultSchema: string): TableName {
  const { schema } = parseTable(stream.target, defaultSchema)
  const hash = createHash('sha256').update(JSON.stringify([run.pipeline, run.id, stream.request.stream]))
  return { schema, table: `nebula_stage_${hash.digest('hex').slice(0, 16)}_${stream.generation}` }
}

function fenced(): NebulaError {
  return new NebulaError('fenced', { message: 'A newer run of this pipeline has taken over.' })
}
