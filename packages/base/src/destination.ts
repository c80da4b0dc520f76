import { createHash, randomUUID } from 'node:crypto'
import type {
  Acceptance,
  CommitOptions,
  Destination,
  DestinationDriver,
  PreparedStream,
  PrepareOptions,
  Problem,
  Recalled,
  Record,
  RecordBatch,
  RowObject,
  Rows,
  Run,
  Schema,
  StreamPlan,
  StreamRequest,
  TargetInfo,
  WriteStream,
} from '@nebula/core'
import { NebulaError, parseType, Record as RecordClass, schemaFingerprint, typeNames } from '@nebula/core'
import { acceptStream, keptField } from './accept-stream.ts'
import type { EndpointOptions } from './endpoint.ts'
import { BaseEndpoint } from './endpoint.ts'
import { NO_COUNTS } from './meter.ts'
import { StreamWriter } from './stream-writer.ts'
import { throwIfAborted } from './timeout.ts'

interface Prepared {
  readonly run: Run
  /** May be gone on with by a program that comes after this one. */
  readonly named: boolean
  readonly writers: ReadonlyMap<string, StreamWriter>
}

interface Agreed {
  readonly plan: StreamPlan
  readonly schema: Schema
}

/** Makes an author's driver a `Destination`: each stream is written as one partition of a run of the program's own. */
export class BaseDestination extends BaseEndpoint<DestinationDriver> implements Destination {
  #prepared: Prepared | undefined
  /** Calls come one after the other. */
  #tail: Promise<unknown> = Promise.resolve()

  constructor(options: EndpointOptions<DestinationDriver>) {
    super(options)
  }

  describe(target: string): Promise<TargetInfo | undefined> {
    return this.#next(async () => {
      const { driver } = this
      if (!driver.describe) throw cannot(this.name, 'say what stands at a target')
      return (await driver.describe([target], this.context))[0]
    })
  }

  prepare(
    streams: WriteStream | readonly WriteStream[],
    options: PrepareOptions = {},
  ): Promise<readonly PreparedStream[]> {
    const asked = isList(streams) ? streams : [streams]
    return this.#next(() => this.#prepare(asked, options))
  }

  write(rows: Rows, stream?: string): Promise<void> {
    return this.#next(async () => {
      const writer = this.#writerOf(stream)
      if (isBatch(rows)) return writer.write(rows)
      if (rows instanceof RecordClass || !isIterable(rows)) await writer.add(rows)
      else for await (const row of rows) await writer.add(row)
      return writer.settle()
    })
  }

  commit({ position, stream }: CommitOptions = {}): Promise<void> {
    return this.#next(async () => {
      const { writers } = this.#current()
      const chosen = stream === undefined ? [...writers.values()] : [this.#writerOf(stream)]
      const moved = chosen.filter((writer) => writer.pending > 0 || position !== undefined)
      for (const writer of moved) await this.#commit(writer, position, false)
    })
  }

  finish(): Promise<void> {
    return this.#next(async () => {
      const { run, writers } = this.#current()
      const { driver } = this
      for (const writer of writers.values()) if (writer.last?.done !== true) await this.#commit(writer, undefined, true)
      await driver.finish?.(run, [...writers.keys()], this.context)
      await driver.end?.(run, this.context)
      this.#prepared = undefined
    })
  }

  discard(): Promise<void> {
    return this.#next(() => this.#discard(this.#current()))
  }

  /** Of an unnamed run, nothing is left at the destination. */
  override async close(): Promise<void> {
    await this.#tail
    const prepared = this.#prepared
    this.#prepared = undefined
    try {
      if (!prepared) return
      const work = prepared.named && this.driver.recall ? abortAll(prepared) : this.#discard(prepared)
      await work.catch((error: unknown) => {
        this.context.logger.warn('staging could not be discarded', { error: this.failure(error).message })
      })
    } finally {
      await super.close()
    }
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#tail.then(() =>
      this.counted(() => {
        void this.driver
        throwIfAborted(this.context.signal)
        return work()
      }),
    )
    this.#tail = next.catch(() => {})
    return next
  }

  #current(): Prepared {
    void this.driver
    if (this.#prepared) return this.#prepared
    throw new NebulaError('lifecycle', {
      message: `${this.name} was used before it was prepared, or after it was finished.`,
      fix: 'Call prepare first.',
    })
  }

  #writerOf(stream: string | undefined): StreamWriter {
    const { writers } = this.#current()
    const [only, second] = writers.values()
    const writer = stream === undefined ? (second ? undefined : only) : writers.get(stream)
    if (writer) return writer
    const names = [...writers.keys()].join(', ')
    const message =
      stream === undefined ? `Say which stream: ${names}.` : `No stream "${stream}" was prepared; those are: ${names}.`
    throw new NebulaError('stream_not_found', { message })
  }

  async #commit(writer: StreamWriter, position: CommitOptions['position'], done: boolean): Promise<void> {
    const before = writer.last?.counts.written ?? 0
    await writer.commit(position, done)
    this.count({ durable: (writer.last?.counts.written ?? 0) - before })
  }

  async #discard(prepared: Prepared): Promise<void> {
    await abortAll(prepared)
    await this.driver.discard?.(prepared.run, [...prepared.writers.keys()], this.context)
    this.#prepared = undefined
  }

  async #prepare(asked: readonly WriteStream[], { name }: PrepareOptions): Promise<readonly PreparedStream[]> {
    const { driver, context } = this
    if (this.#prepared) {
      const message = `${this.name} was prepared already.`
      throw new NebulaError('lifecycle', { message, fix: 'Finish or discard first.' })
    }
    const agreed = await this.#agree(asked)
    const targets = agreed.map(({ plan }) => plan.target)
    const pipeline = name ?? `program ${targets.join(', ')}`.slice(0, 200)
    const fingerprint = fingerprintOf(agreed)
    const recalled = await driver.recall?.(pipeline, context)
    const unfinished = recalled?.ended === false ? recalled : undefined
    const resumed = name !== undefined && unfinished?.run.fingerprint === fingerprint ? unfinished : undefined
    if (unfinished && !resumed) await discardUnfinished(driver, unfinished, this.context)
    const run: Run = {
      pipeline,
      id: resumed?.run.id ?? randomUUID().slice(0, 8),
      epoch: (recalled?.run.epoch ?? 0) + 1,
      fingerprint,
      plan: {
        partitions: agreed.map(({ plan: { request } }) => ({
          id: request.stream,
          stream: request.stream,
          range: null,
        })),
        restart: [],
      },
      streams: agreed.map(({ plan }) => plan),
    }
    await driver.prepare(run, context)
    const writers = agreed.map((stream): [string, StreamWriter] => [
      stream.plan.request.stream,
      this.#createWriter(run, stream, resumed),
    ])
    this.#prepared = { run, named: name !== undefined, writers: new Map(writers) }
    return agreed.map(({ plan }, i) => prepared(plan, writers[i]?.[1]))
  }

  #createWriter(run: Run, { plan, schema }: Agreed, resumed: Recalled | undefined): StreamWriter {
    const { stream } = plan.request
    const finished = resumed?.finished.includes(stream)
      ? { partition: stream, sequence: 0, done: true, counts: NO_COUNTS }
      : undefined
    return new StreamWriter({
      run,
      plan,
      schema,
      driver: this.driver,
      context: this.context,
      config: this.options.config,
      records: this.recordPool,
      last: finished ?? resumed?.checkpoints.find(({ partition }) => partition === stream),
      onWritten: ({ rows, byteLength: bytes, rejected }) =>
        this.count({ batches: 1, rows, bytes, rejected: rejected.length }),
    })
  }

  /** Throws all problems of all streams as one error. */
  async #agree(asked: readonly WriteStream[]): Promise<Agreed[]> {
    const { driver, context } = this
    const targets = asked.map(({ stream, target = stream }) => target)
    const standing = (await driver.describe?.(targets, context)) ?? []
    const problems: Problem[] = twice(targets)
    const agreed = asked.map((stream, i) => {
      const { accepted, ...rest } = agree(driver, stream, standing[i])
      problems.push(...problemsOf(stream, accepted, standing[i]))
      return rest
    })
    const [first] = problems
    if (first) throw new NebulaError(first.code, { message: problems.map(({ message }) => message).join('\n') })
    return agreed
  }
}

function agree(
  driver: DestinationDriver,
  { stream, target = stream, schema: given, mode = 'overwrite', key = [] }: WriteStream,
  standing: TargetInfo | undefined,
): Agreed & { readonly accepted: Acceptance } {
  const { fields: named } = schemaOf(given)
  const request: StreamRequest = { stream, mode, columns: named.map(({ name }) => name), key }
  const schema = { fields: named.map((field) => keptField(field, request)) }
  const accepted = acceptStream(driver, { request, schema, wire: [], target: standing })
  const fields = schema.fields.map((field, i) => ({ ...field, type: accepted.columns[i]?.as ?? field.type }))
  return { plan: { request, target, schema: { fields }, accepted, generation: 0 }, schema, accepted }
}

function problemsOf(
  { stream, target = stream, mode, schema, allowLoss = [] }: WriteStream,
  { problems, columns }: Acceptance,
  standing: TargetInfo | undefined,
): Problem[] {
  const names = schemaOf(schema).fields.map(({ name }) => name)
  const lossy = columns.flatMap(({ fidelity, why = 'it would lose something' }, i): Problem[] => {
    const column = names[i] ?? ''
    if (fidelity !== 'lossy' || allowLoss.includes(column)) return []
    return [{ code: 'loss_refused', column, message: `column ${column}: ${why}` }]
  })
  const foreign: Problem[] =
    mode === undefined && standing?.foreignRows === true
      ? [{ code: 'target_not_ours', message: `${target} holds rows that Nebula did not write; say mode: overwrite` }]
      : []
  return [...foreign, ...problems, ...lossy].map((problem) => ({
    ...problem,
    message: `${stream}: ${problem.message}`,
  }))
}

function twice(targets: readonly string[]): Problem[] {
  const names = new Set(targets.filter((target, i) => targets.indexOf(target) < i))
  return [...names].map((name) => ({
    code: 'target_incompatible' as const,
    message: `Two streams would be written to ${name}.`,
  }))
}

/** A schema as it is, or of names and types as users write them. Throws `config_invalid`. */
function schemaOf(given: WriteStream['schema']): Schema {
  if (isSchema(given)) return given
  const fields = Object.entries(given).map(([name, text]) => {
    const type = parseType(text)
    if (type) return { name, type, nullable: true }
    const message = `Column "${name}": "${text}" is no type; known are ${typeNames.join(', ')}.`
    throw new NebulaError('config_invalid', { message })
  })
  return { fields }
}

function prepared(
  { request: { stream }, target, accepted }: StreamPlan,
  writer: StreamWriter | undefined,
): PreparedStream {
  const last = writer?.last
  if (!last) return { stream, target, accepted }
  const { position, done, counts } = last
  const committed = { rows: counts.written, done, ...(position === undefined ? {} : { position }) }
  return { stream, target, accepted, committed }
}

function fingerprintOf(agreed: readonly Agreed[]): string {
  const identity = agreed.map(({ plan: { request, target, schema } }) => [request, target, schemaFingerprint(schema)])
  return createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32)
}

async function discardUnfinished(
  driver: DestinationDriver,
  { run, finished }: Recalled,
  context: Parameters<DestinationDriver['prepare']>[1],
): Promise<void> {
  const streams = run.streams.map(({ request }) => request.stream).filter((stream) => !finished.includes(stream))
  await driver.discard?.(run, streams, context)
}

async function abortAll({ writers }: Prepared): Promise<void> {
  for (const writer of writers.values()) await writer.abort(undefined)
}

function cannot(connector: string, what: string): NebulaError {
  return new NebulaError('unsupported', { message: `The connector ${connector} cannot ${what}.` })
}

function isList(streams: WriteStream | readonly WriteStream[]): streams is readonly WriteStream[] {
  return Array.isArray(streams)
}

function isSchema(given: WriteStream['schema']): given is Schema {
  return Array.isArray((given as Partial<Schema>).fields)
}

function isBatch(rows: Rows): rows is RecordBatch {
  const { column, place, release } = rows as Partial<RecordBatch>
  return typeof column === 'function' && typeof place === 'function' && typeof release === 'function'
}

function isIterable(
  rows: Exclude<Rows, RecordBatch>,
): rows is Iterable<Record | RowObject> | AsyncIterable<Record | RowObject> {
  return Symbol.iterator in rows || Symbol.asyncIterator in rows
}
