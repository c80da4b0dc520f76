import type { Context, RecordBatch, Rejection, WriteTask } from '@nebula/core'
import { NebulaError, utf8 } from '@nebula/core'
import type { EncodedField, RowEncoder } from '@nebula/formats'
import { BINARY_WIRE, LineEncoder, RowSender, TupleEncoder, TuplePatcher } from '@nebula/formats'
import type { Loader, TableName } from '@nebula/sql'
import { needsText } from '@nebula/sql'
import type { Session } from './connection.ts'
import { CopyIn } from './copy.ts'
import type { ServerError } from './errors.ts'
import { serverMessage } from './errors.ts'
import { NAMES, TYPES } from './types.ts'

/** A COPY that is open, and the rows that were sent into it. */
interface OpenCopy {
  readonly stream: CopyIn
  readonly binary: boolean
  rows: number
}

/** Loads rows by COPY: wire rows as they are, columns in binary, or as text where the server is to parse them. */
export class CopyLoader implements Loader<Session> {
  readonly #task: WriteTask
  readonly #staging: TableName
  readonly #context: Context
  /** Columns that are sent as columns: all, or those that are replaced in wire rows. */
  readonly #encoded: readonly number[]
  /** Of what is encoded. */
  readonly #binary: boolean
  #copy: OpenCopy | undefined
  #sender: RowSender | undefined

  constructor(task: WriteTask, staging: TableName, context: Context) {
    this.#task = task
    this.#staging = staging
    this.#context = context
    const { accepted, schema } = task.stream
    this.#encoded = accepted.wire === undefined ? schema.fields.map((_, index) => index) : (accepted.replaced ?? [])
    this.#binary = !needsText(TYPES, accepted)
  }

  async load(session: Session, batch: RecordBatch, from: number, to: number): Promise<void> {
    const wire = this.#task.stream.accepted.wire === undefined ? undefined : batch.wire
    const copy = await this.#open(session, wire ? wire.format === BINARY_WIRE : this.#binary)
    copy.rows += to - from
    if (wire && this.#encoded.length === 0)
      return copy.stream.write(wire.data.subarray(wire.offsets[from], wire.offsets[to]))
    this.#sender ??= new RowSender(this.#newEncoder(batch.wire !== undefined), this.#encoded, this.#context.pool)
    await this.#sender.send(batch, from, to, (messages) => copy.stream.write(messages))
  }

  async end(): Promise<void> {
    const [copy, sent] = [this.#copy, this.#sender?.sent]
    this.reset()
    await sent
    const taken = await copy?.stream.finish()
    if (copy && taken !== copy.rows) {
      throw new NebulaError('counts_differ', { message: `The server took ${taken} of ${copy.rows} rows.` })
    }
  }

  reset(): boolean {
    const open = this.#copy !== undefined
    this.#copy = undefined
    this.#sender?.forget()
    return open
  }

  free(): void {
    this.#sender?.free()
    this.#sender = undefined
  }

  /** The line that the server's context names behind the table: `COPY t, line 7, column c`, in any language. */
  refusedRow(error: unknown, from: number, to: number): number | undefined {
    const { where = '' } = error as ServerError
    const behind = where.indexOf(this.#staging.table)
    const line = behind < 0 ? null : /\d+/.exec(where.slice(behind + this.#staging.table.length))
    const row = from + Number(line?.[0]) - 1
    return row >= from && row < to ? row : undefined
  }

  rejection(error: unknown): Pick<Rejection, 'column' | 'code' | 'reason'> {
    const { where = '', column, code = 'row_rejected' } = error as ServerError
    const named = /, column (.*?)(?:: "|$)/s.exec(where)?.[1] ?? column
    const known = this.#task.stream.schema.fields.find(({ name }) => name === named)
    return { ...(known ? { column: known.name } : {}), code, reason: serverMessage(error) }
  }

  /** The open COPY of this form; another one is ended first. */
  async #open({ client }: Session, binary: boolean): Promise<OpenCopy> {
    if (this.#copy?.binary === binary) return this.#copy
    await this.end()
    const columns = NAMES.list(this.#task.stream.schema.fields.map(({ name }) => name))
    const table = `${NAMES.table(this.#staging)}${columns && ` (${columns})`}`
    const sql = `COPY ${table} FROM STDIN (FORMAT ${binary ? 'binary' : 'text'})`
    return (this.#copy = { stream: await CopyIn.start(client, sql, binary), binary, rows: 0 })
  }

  #newEncoder(patches: boolean): RowEncoder {
    if (!this.#binary) return new LineEncoder(this.#context.pool)
    const { schema, accepted } = this.#task.stream
    const fields = this.#encoded.map((index): EncodedField => {
      const type = schema.fields[index]?.type ?? utf8
      return { type, jsonb: type.kind === 'json' && accepted.columns[index]?.type === 'jsonb' }
    })
    return patches ? new TuplePatcher(fields, this.#encoded) : new TupleEncoder(fields)
  }
}
