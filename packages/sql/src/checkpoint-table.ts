import type { CheckpointRecord, CheckpointRecords, Where } from '@nebula/base'
import { CHECKPOINTS } from '@nebula/base'
import type { SqlDialect } from './dialect.ts'
import type { SqlSession } from './session.ts'

const COLUMNS = ['pipeline', 'part', 'epoch', 'sequence', 'stream', 'content'] as const

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

  /** Inside a transaction: waits for other runs that create objects here, then creates schema and table. */
  async create(session: Session): Promise<void> {
    const { key, number, content } = this.#dialect.checkpointTypes
    await this.#dialect.lockSchema(session, this.#schema)
    await createSchema(session, this.#dialect, this.#schema)
    await session.execute(`CREATE TABLE IF NOT EXISTS ${this.#table} (pipeline ${key}, part ${key}, epoch ${number},
      sequence ${number}, stream ${key}, content ${content}, PRIMARY KEY (pipeline, part))`)
  }

  async find(session: Session, where: Where): Promise<CheckpointRecord[]> {
    const tables = `SELECT 1 FROM (${this.#dialect.tables}) t WHERE t.schema = ? AND t.name = ?`
    if ((await session.query(this.#spell(tables), [this.#schema, CHECKPOINTS])).length === 0) return []
    const sql = `SELECT ${COLUMNS.join(', ')} FROM # WHERE ${conditionOf(where)}`
    const rows = await session.query<CheckpointRecord>(this.#spell(sql), Object.entries(where).map(valueOf))
    // Some drivers give large numbers as texts.
    return rows.map((row) => ({ ...row, epoch: Number(row.epoch), sequence: Number(row.sequence) }))
  }

  /** None is there: whoever inserts has created, and nobody else creates until the transaction ends. */
  async insert(session: Session, records: readonly CheckpointRecord[]): Promise<boolean> {
    const row = `(${COLUMNS.map(() => '?').join(', ')})`
    const sql = `INSERT INTO # (${COLUMNS.join(', ')}) VALUES ${records.map(() => row).join(', ')}`
    const values = records.flatMap((record) => COLUMNS.map((column) => valueOf([column, record[column]])))
    await session.execute(this.#spell(sql), values)
    return true
  }

  async update(session: Session, where: Where, set: Partial<CheckpointRecord>): Promise<number> {
    const columns = Object.keys(set).map((column) => `${column} = ?`)
    const sql = `UPDATE # SET ${columns.join(', ')} WHERE ${conditionOf(where)}`
    const values = [set, where].flatMap((fields) => Object.entries(fields).map(valueOf))
    return session.execute(this.#spell(sql), values)
  }

  async delete(session: Session, where: Where): Promise<void> {
    const sql = `DELETE FROM # WHERE ${conditionOf(where)}`
    await session.execute(this.#spell(sql), Object.entries(where).map(valueOf))
  }

  /** Every `?` as the dialect has it, and the table, in whose name there may be some, for `#`. */
  #spell(sql: string): string {
    let place = 0
    return sql.replaceAll(/[?#]/g, (sign) => (sign === '#' ? this.#table : this.#dialect.parameter(++place)))
  }
}

function conditionOf(where: Where): string {
  const operator = (value: unknown): string => (typeof value === 'object' ? '<=' : '=')
  return Object.entries(where)
    .map(([column, value]) => `${column} ${operator(value)} ?`)
    .join(' AND ')
}

function valueOf([column, value]: readonly [string, unknown]): unknown {
  if (column === 'content') return value === undefined ? null : JSON.stringify(value)
  return typeof value === 'object' ? (value as { readonly atMost: number }).atMost : value
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
