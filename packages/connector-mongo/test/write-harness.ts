/// <reference types="node" />
import { createContext } from '@nebula/base'
import type {
  Checkpoint,
  Column,
  Context,
  ErrorCode,
  Field,
  Mode,
  RecordBatch,
  Rejection,
  RowObject,
  Run,
  StreamPlan,
  TargetCheck,
  Writer,
} from '@nebula/core'
import { BatchAssembler, createBatch, isNebulaError, NebulaError, RecordPool } from '@nebula/core'
import { BSON_WIRE } from '@nebula/formats'
import type { Document } from 'mongodb'
import { BSON, MongoClient } from 'mongodb'
import { inject } from 'vitest'
import { MongoConfig } from '../src/config.ts'
import { MongoDestination } from '../src/destination.ts'

/** Every value as a class of its type. */
const TYPED = { promoteValues: false, promoteBuffers: false, bsonRegExp: true } as const

/** A database of its own, with a client for the test itself. */
export class Target implements AsyncDisposable {
  readonly name: string
  readonly client: MongoClient

  private constructor(name: string, client: MongoClient) {
    this.name = name
    this.client = client
  }

  static create(): Target {
    const client = new MongoClient(inject('mongo').url, { monitorCommands: true })
    return new Target(`nebula_test_${crypto.randomUUID().slice(0, 12)}`, client)
  }

  get url(): string {
    const url = new URL(inject('mongo').url)
    url.pathname = `/${this.name}`
    if (!url.searchParams.has('authSource') && url.username !== '') url.searchParams.set('authSource', 'admin')
    return url.href
  }

  get db() {
    return this.client.db(this.name)
  }

  /** The documents of a collection as they are stored, in order of their `_id`s. */
  async raw(collection: string): Promise<Buffer[]> {
    const found = await this.db
      .collection(collection)
      .find({}, { raw: true, sort: { _id: 1 } })
      .toArray()
    return found as unknown as Buffer[]
  }

  async typed(collection: string): Promise<Document[]> {
    return (await this.raw(collection)).map((document) => BSON.deserialize(document, TYPED))
  }

  async names(): Promise<string[]> {
    const found = await this.db.listCollections({}, { nameOnly: true }).toArray()
    return found.map(({ name }) => name).sort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.db.dropDatabase()
    await this.client.close()
  }
}

export interface PlanOptions {
  readonly mode?: Mode
  readonly key?: readonly string[]
  readonly target?: string
  readonly wire?: boolean
  readonly generation?: number
  readonly partitions?: readonly string[]
}

const NO_COUNTS = { read: 0, written: 0, filtered: 0, rejected: 0, bytes: 0 }

/** The destination by itself, without a source or a runtime. */
export class Writing implements AsyncDisposable {
  readonly destination: MongoDestination
  readonly context: Context
  readonly controller = new AbortController()

  private constructor(url: string, options: object) {
    const config = MongoConfig.parse({ url, reliability: { retryDelay: 1 }, ...options })
    this.destination = new MongoDestination(config)
    this.context = createContext({ signal: this.controller.signal, config })
  }

  static async open(target: { readonly url: string }, options: object = {}): Promise<Writing> {
    const writing = new Writing(target.url, options)
    await writing.destination.open(writing.context)
    return writing
  }

  /** What a runtime agrees about one stream. Throws what stands against it. */
  async agree(fields: readonly Field[], options: PlanOptions = {}): Promise<StreamPlan> {
    const { mode = 'overwrite', key = ['_id'], target = 'target', wire = false, generation = 0 } = options
    const [check] = (await this.destination.check([{ target, mode }], this.context)) as [TargetCheck]
    const [standing] = await this.destination.describe([target], this.context)
    const request = { stream: 'stream', mode, columns: fields.map(({ name }) => name), key }
    const accepted = this.destination.accept(request, { fields }, wire ? [BSON_WIRE] : [], standing)
    const [problem] = [...check.problems, ...accepted.problems]
    if (problem) throw new NebulaError(problem.code, { message: problem.message })
    const written = fields.map((field, i) => ({ ...field, type: accepted.columns[i]?.as ?? field.type }))
    return { request, target, schema: { fields: written }, accepted, generation }
  }

  /** A run of one stream, as the next process would begin it. */
  async run(
    stream: StreamPlan,
    options: { id?: string; epoch?: number; partitions?: readonly string[] } = {},
  ): Promise<Run> {
    const recalled = await this.destination.recall('test', this.context)
    const { id = 'run1', epoch = (recalled?.run.epoch ?? 0) + 1, partitions = ['p1'] } = options
    const plan = { partitions: partitions.map((part) => ({ id: part, stream: 'stream', range: null })), restart: [] }
    const run: Run = { pipeline: 'test', id, epoch, fingerprint: '', plan, streams: [stream] }
    await this.destination.prepare(run, this.context)
    return run
  }

  async writer(run: Run, { partition = 'p1', isolate = false } = {}): Promise<Writer> {
    const [stream] = run.streams as [StreamPlan]
    const part = { id: partition, stream: 'stream', range: null }
    return this.destination.writer({ run, partition: part, stream, order: 0, partitions: 1, isolate }, this.context)
  }

  batch(stream: StreamPlan, rows: readonly RowObject[]): RecordBatch {
    const { pool } = this.context
    const limits = { rows: rows.length + 1, bytes: 1e9 }
    const records = new RecordPool(0)
    const assembler = new BatchAssembler({
      stream: 'stream',
      schema: stream.schema,
      mode: 'columnar',
      limits,
      pool,
      records,
    })
    for (const row of rows) assembler.add(row)
    const batch = assembler.take()
    if (!batch) throw new Error('A batch needs rows.')
    return batch
  }

  /** One task from its first row to its commit. */
  async write(
    run: Run,
    batches: readonly RecordBatch[],
    options: { partition?: string; isolate?: boolean; sequence?: number } = {},
  ): Promise<Rejection[]> {
    const { partition = 'p1', sequence = 1 } = options
    const writer = await this.writer(run, options)
    const rejected: Rejection[] = []
    try {
      for (const batch of batches) rejected.push(...(await writer.write(batch, 0, batch.rows)))
      await writer.commit(checkpoint(sequence, partition))
    } catch (error) {
      await writer.abort(error)
      throw error
    }
    return rejected
  }

  async finish(run: Run): Promise<void> {
    await this.destination.finish(run, ['stream'], this.context)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destination.close()
  }
}

export function checkpoint(sequence = 1, partition = 'p1'): Checkpoint {
  return { partition, sequence, done: true, counts: NO_COUNTS }
}

/** Documents as wire rows. */
export function wireBatch(documents: readonly Uint8Array[]): RecordBatch {
  const data = Buffer.concat(documents)
  const offsets = new Int32Array(documents.length + 1)
  for (const [i, document] of documents.entries()) offsets[i + 1] = (offsets[i] as number) + document.length
  const columns = (): readonly Column[] => {
    throw new Error('Somebody looks into wire rows.')
  }
  const wire = { format: BSON_WIRE, offsets, data }
  return createBatch({
    stream: 'stream',
    schema: { fields: [] },
    rows: documents.length,
    wire,
    columns,
    place: (row) => `document ${row}`,
  })
}

/** The code that a piece of work fails with. */
export async function codeOf(work: Promise<unknown>): Promise<ErrorCode | undefined> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return isNebulaError(error) ? error.code : error === undefined ? undefined : 'internal'
}
