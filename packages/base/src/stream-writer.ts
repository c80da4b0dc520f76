import type {
  BaseConfig,
  Checkpoint,
  ColumnBuilder,
  Context,
  DestinationDriver,
  Position,
  Record,
  RecordBatch,
  RecordPool,
  RowObject,
  Run,
  Schema,
  StreamPlan,
  Writer,
} from '@nebula/core'
import {
  BatchAssembler,
  castColumn,
  columnBuilder,
  createBatch,
  NebulaError,
  sameType,
  toNebulaError,
  typeName,
} from '@nebula/core'
import { addCounts, NO_COUNTS } from './meter.ts'

export interface StreamWriterInput {
  readonly run: Run
  readonly plan: StreamPlan
  /** What the program gives; `plan.schema` is what the destination takes. */
  readonly schema: Schema
  readonly driver: DestinationDriver
  readonly context: Context
  readonly config: BaseConfig
  readonly records: RecordPool
  /** Of an interrupted run. */
  readonly last: Checkpoint | undefined
  /** Told of each batch that was written. */
  readonly onWritten: (batch: RecordBatch) => void
}

/** Writes one stream of a program, as one partition, in batches. One call at a time. */
export class StreamWriter {
  readonly #input: StreamWriterInput
  readonly #assembler: BatchAssembler
  /** For columns that the destination takes in another type. */
  readonly #casts: readonly (ColumnBuilder | undefined)[]
  #writer: Writer | undefined
  #last: Checkpoint | undefined
  /** Since the last commit. */
  #counts = NO_COUNTS
  /** When the oldest row came that waits in the assembler. */
  #waitsSince = 0

  constructor(input: StreamWriterInput) {
    const { plan, schema, context, config, records, last } = input
    const { batchSize, batchBytes } = config.performance
    this.#input = input
    this.#last = last
    this.#assembler = new BatchAssembler({
      stream: plan.request.stream,
      schema,
      mode: config.advanced.storageMode,
      limits: { rows: batchSize, bytes: batchBytes },
      pool: context.pool,
      records,
    })
    this.#casts = schema.fields.map(({ type }, i) => {
      const wanted = plan.schema.fields[i]?.type ?? type
      return sameType(type, wanted) ? undefined : columnBuilder(wanted, context.pool)
    })
  }

  /** Rows that are not committed. */
  get pending(): number {
    return this.#counts.read + this.#assembler.rows
  }

  get last(): Checkpoint | undefined {
    return this.#last
  }

  /** Adds a row, and writes what is complete. */
  async add(row: Record | RowObject): Promise<void> {
    this.#refuseDone()
    if (this.#assembler.rows === 0) this.#waitsSince = this.#input.context.clock.now()
    this.#assembler.add(row)
    while (this.#assembler.isReady) await this.#flushOne()
  }

  /** Writes rows that must not wait: in row mode, or when the oldest has waited long enough. */
  async settle(): Promise<void> {
    const { context, config } = this.#input
    const waited = context.clock.now() - this.#waitsSince
    if (config.advanced.storageMode === 'row' || waited >= config.performance.flushInterval) await this.#flush()
  }

  /** Writes a batch, which stays the caller's. */
  async write(batch: RecordBatch): Promise<void> {
    this.#refuseDone()
    this.#refuseOther(batch.schema)
    this.#refuseRejected(batch)
    await this.#flush()
    await this.#write(batch)
  }

  async commit(position: Position | undefined, done: boolean): Promise<void> {
    await this.#flush()
    const counts = addCounts(this.#last?.counts ?? NO_COUNTS, this.#counts, 1)
    const checkpoint: Checkpoint = {
      partition: this.#input.plan.request.stream,
      sequence: (this.#last?.sequence ?? 0) + 1,
      done,
      counts,
      ...(position === undefined ? {} : { position }),
    }
    await this.#attempt((writer) => writer.commit(checkpoint))
    this.#last = checkpoint
    this.#counts = NO_COUNTS
    if (done) this.#free()
  }

  /** Forgets what is not committed. */
  async abort(reason: unknown): Promise<void> {
    const writer = this.#writer
    this.#writer = undefined
    this.#counts = NO_COUNTS
    this.#free()
    await writer?.abort(reason).catch((error: unknown) => {
      this.#input.context.logger.warn('a writer could not be aborted', { error: toNebulaError(error).message })
    })
  }

  #free(): void {
    this.#assembler.free()
    for (const builder of this.#casts) builder?.free()
  }

  async #flush(): Promise<void> {
    while (this.#assembler.rows > 0 || this.#assembler.isReady) await this.#flushOne()
  }

  async #flushOne(): Promise<void> {
    const batch = this.#assembler.take()
    if (!batch) return
    try {
      await this.#write(batch)
    } finally {
      batch.release()
    }
  }

  async #write(batch: RecordBatch): Promise<void> {
    const { rows, byteLength: bytes, rejected } = batch
    await this.#attempt((writer) => writer.write(this.#cast(batch), 0, rows))
    const read = rows + rejected.length
    this.#counts = addCounts(this.#counts, { read, written: rows, filtered: 0, rejected: rejected.length, bytes }, 1)
    this.#input.onWritten(batch)
  }

  /** When something fails on the way to the writer, or there, nothing since the last commit is left. */
  async #attempt<T>(work: (writer: Writer) => Promise<T>): Promise<T> {
    const { run, plan, driver, context } = this.#input
    try {
      const { stream } = plan.request
      const partition = { id: stream, stream, range: null }
      this.#writer ??= await driver.writer(
        { run, partition, stream: plan, order: 0, partitions: 1, isolate: false },
        context,
      )
      return await work(this.#writer)
    } catch (error) {
      await this.abort(error)
      throw toNebulaError(error).at({ stream: plan.request.stream })
    }
  }

  /** The batch in the types that the destination takes. Throws `row_rejected` for a value that does not fit. */
  #cast(batch: RecordBatch): RecordBatch {
    const { plan, context } = this.#input
    if (this.#casts.every((builder) => builder === undefined)) return batch
    const columns = this.#casts.map((builder, i) => {
      if (!builder) return batch.column(i)
      castColumn(batch.column(i), builder, context.pool, (row) => {
        const { name = '', type } = plan.schema.fields[i] ?? {}
        const kind = type ? typeName(type) : ''
        throw rejected(batch.place(row), `column "${name}": the value does not fit ${kind}`, plan)
      })
      return builder.finish()
    })
    const { stream, rows } = batch
    return createBatch({ stream, schema: plan.schema, rows, columns, place: (row) => batch.place(row) })
  }

  #refuseOther({ fields }: Schema): void {
    const expected = this.#input.schema.fields
    const fits = fields.length === expected.length && fields.every((field, i) => isLike(field, expected[i]))
    if (fits) return
    const spell = (list: Schema['fields']): string => list.map((f) => `${f.name} ${typeName(f.type)}`).join(', ')
    throw new NebulaError('target_incompatible', {
      message: `The batch has the columns ${spell(fields)} instead of ${spell(expected)}.`,
      fix: 'Prepare the stream with the schema of its batches.',
      stream: this.#input.plan.request.stream,
    })
  }

  #refuseRejected(batch: RecordBatch): void {
    const { config, plan } = this.#input
    const [first] = batch.rejected
    const before = (this.#last?.counts.rejected ?? 0) + this.#counts.rejected
    if (first && before + batch.rejected.length > config.reliability.maxErrors)
      throw rejected(first.place, first.reason, plan)
  }

  #refuseDone(): void {
    if (this.#last?.done !== true) return
    const { stream } = this.#input.plan.request
    const message = `Every row of ${stream} is in: an interrupted run of this name had committed it.`
    throw new NebulaError('already_committed', { message, stream })
  }
}

function isLike(field: Schema['fields'][number], other: Schema['fields'][number] | undefined): boolean {
  return other !== undefined && field.name === other.name && sameType(field.type, other.type)
}

function rejected(place: string, reason: string, { request: { stream } }: StreamPlan): NebulaError {
  return new NebulaError('row_rejected', { message: `${place}: ${reason.replace(/\.$/, '')}.`, stream, place })
}
