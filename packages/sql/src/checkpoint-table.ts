import type { CheckpointRecord, CheckpointRecords, Condition } from '@nebula/base'
import { CHECKPOINTS } from '@nebula/base'
import type { SqlDialect } from './dialect.ts'
import type { SqlSession } from './session.ts'

const COLUMNS = ['pipeline', 'part', 'epoch', 'sequence', 'stream', 'generation', 'content'] as const

/** A row as drivers give it: some have large numbers as text. */
type Row = { readonly [Column in keyof CheckpointRecord]: CheckpointRecord[Column] | null }

/** The table of the records of runs and checkpoints. */
export class CheckpointTable<Session extends SqlSession> implements CheckpointRecords<Session> {
  readonly #dialect: SqlDialect<Session>
  readonly #schema: string
  readonly #table: string

  constructor(dialect: SqlDialect<Session>, schema: string) {
    this.#dialect = dialect
    this.#schema = schema
    this.#table = dialect.names.table({ schema, table: CHECKPOINTS })
  }

  async exists(session: Session): Promise<boolean> {
    const { tables, parameter } = this.#dialect
    const sql = `SELECT 1 FROM (${tables}) t WHERE t.schema = ${parameter(1)} AND t.name = ${parameter(2)}`
    return (await session.query(sql, [this.#schema, CHECKPOINTS])).length > 0
  }

  /** Inside a transaction: waits for other runs that create objects here, then creates schema and table. */
  async create(session: Session): Promise<void> {
    const { key, number, content } = this.#dialect.checkpointTypes
    await this.#dialect.lockSchema(session, this.#schema)
    await createSchema(session, this.#dialect, this.#schema)
    await session.execute(`CREATE TABLE IF NOT EXISTS ${this.#table} (pipeline ${key}, part ${key}, epoch ${number},
      sequence ${number}, stream ${key}, generation ${number}, content ${content}, PRIMARY KEY (pipeline, part))`)
  }

  async find(session: Session, where: readonly Condition[]): Promise<CheckpointRecord[]> {
    const { sql, values } = this.#where(where)
    const rows = await session.query<Row>(`SELECT ${COLUMNS.join(', ')} FROM ${this.#table}${sql}`, values)
    return rows.map(({ pipeline, part, epoch, sequence, stream, generation, content }) => ({
      pipeline: pipeline ?? '',
      part: part ?? '',
      epoch: Number(epoch),
      sequence: Number(sequence),
      stream: stream ?? '',
      generation: Number(generation),
      content,
    }))
  }

  /** None is there: whoever inserts has created, and nobody else creates until the transaction ends. */
  async insert(session: Session, records: readonly CheckpointRecord[]): Promise<boolean> {
    const values = records.flatMap((record) => COLUMNS.map((column) => valueOf(record, column)))
    const rows = records.map((_, row) => {
      return `(${COLUMNS.map((_column, i) => this.#place(row * COLUMNS.length + i)).join(', ')})`
    })
    await session.execute(`INSERT INTO ${this.#table} (${COLUMNS.join(', ')}) VALUES ${rows.join(', ')}`, values)
    return true
  }

  async update(session: Session, where: readonly Condition[], set: Partial<CheckpointRecord>): Promise<number> {
    const changed = COLUMNS.filter((column) => set[column] !== undefined)
    const condition = this.#where(where, changed.length)
    const columns = changed.map((column, i) => `${column} = ${this.#place(i)}`)
    const values = changed.map((column) => valueOf(set, column))
    const sql = `UPDATE ${this.#table} SET ${columns.join(', ')}${condition.sql}`
    return session.execute(sql, [...values, ...condition.values])
  }

  async delete(session: Session, where: readonly Condition[]): Promise<void> {
    const { sql, values } = this.#where(where)
    await session.execute(`DELETE FROM ${this.#table}${sql}`, values)
  }

  /** Behind so many other values. */
  #where(where: readonly Condition[], before = 0): { readonly sql: string; readonly values: unknown[] } {
    const conditions = where.map(([column, operator], i) => `${column} ${operator} ${this.#place(before + i)}`)
    return { sql: ` WHERE ${conditions.join(' AND ')}`, values: where.map(([, , value]) => value) }
  }

  #place(index: number): string {
    return this.#dialect.parameter(index + 1)
  }
}

function valueOf(record: Partial<CheckpointRecord>, column: keyof CheckpointRecord): unknown {
  const value = record[column] ?? null
  return column === 'content' && value !== null ? JSON.stringify(value) : value
}

/** Creates a schema that is missing; asking first, because creating needs a privilege even where it exists. */
export async function createSchema<Session extends SqlSession>(
  session: Session,
  { names, parameter }: SqlDialect<Session>,
  schema: string,
): Promise<void> {
  const sql = `SELECT 1 FROM information_schema.schemata WHERE schema_name = ${parameter(1)}`
  if ((await session.query(sql, [schema])).length > 0) return
  await session.execute(`CREATE SCHEMA IF NOT EXISTS ${names.quote(schema)}`)
}
