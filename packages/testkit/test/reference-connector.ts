import type { Socket } from 'node:net'
import { connect } from 'node:net'
import type {
  Acceptance,
  BaseConfig as Base,
  Checkpoint,
  Connector,
  Context,
  DestinationDriver,
  ErrorCode,
  LogicalType,
  Plan,
  Problem,
  ReadTask,
  Recalled,
  RecordBatch,
  Rejection,
  Schema,
  Secret,
  SourceDriver,
  StreamRequest,
  TargetInfo,
  WriteTask,
  Writer,
} from '@nebula/core'
import { BaseConfig, columnBuilder, createBatch, MODES, NebulaError, secret } from '@nebula/core'
import type { Row, SubjectOptions } from '../src/index.ts'
import { columnTexts, textColumn } from '../src/index.ts'
import type { Question, StoredStream } from './reference-store.ts'
import { onLines, PASSWORD, ReferenceServer, storeOf } from './reference-store.ts'

/** Shapes of core's own keys, so that there is one copy of zod. */
const text = BaseConfig.shape.name.unwrap()
const count = BaseConfig.shape.performance.unwrap().shape.maxConcurrency.unwrap()

export const ReferenceConfig = BaseConfig.extend({
  place: text.describe('which store'),
  port: count.max(65_535).optional().describe('of the server on this machine; default: the store is in this process'),
  password: secret().optional().describe('what the server asks for'),
})

export type ReferenceConfig = Base & { readonly place: string; readonly port?: number; readonly password?: Secret }

/** Asks the store, where it is. */
export interface Link {
  ask<T>(question: Question, signal: AbortSignal): Promise<T>
  close(): void
}

class LocalLink implements Link {
  readonly #place: string

  constructor(place: string) {
    this.#place = place
  }

  async ask<T>(question: Question): Promise<T> {
    // As JSON, like everything that goes through a socket.
    const answer = await storeOf(this.#place).answer(JSON.parse(JSON.stringify(question)) as Question)
    return (answer === undefined ? answer : JSON.parse(JSON.stringify(answer))) as T
  }

  close(): void {}
}

interface Reply {
  readonly id: number
  readonly value?: unknown
  readonly error?: { readonly code: ErrorCode; readonly message: string }
}

/** One connection at a time, made when it is needed. */
class SocketLink implements Link {
  readonly #config: ReferenceConfig
  /** Of the connection. */
  #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #socket: Socket | undefined
  #ready: Promise<unknown> = Promise.resolve()
  #questions = 0

  constructor(config: ReferenceConfig) {
    this.#config = config
  }

  async ask<T>(question: Question, signal: AbortSignal): Promise<T> {
    if (!this.#socket || this.#socket.destroyed) this.#connect(signal)
    await this.#ready
    return (await this.#send(question, signal)) as T
  }

  close(): void {
    this.#socket?.destroy()
  }

  #connect(signal: AbortSignal): void {
    const socket = connect(this.#config.port ?? 0, '127.0.0.1').setNoDelay(true)
    this.#socket = socket
    const waiting = new Map<number, PromiseWithResolvers<unknown>>()
    this.#waiting = waiting
    let connected = false
    socket.on('connect', () => (connected = true))
    socket.on('error', () => {})
    socket.on('close', () => {
      const code = connected ? 'connection_lost' : 'connection_failed'
      for (const { reject } of waiting.values())
        reject(new NebulaError(code, { message: 'The reference server is not reachable.' }))
      waiting.clear()
    })
    onLines(socket, (line) => {
      const { id, value, error } = JSON.parse(line) as Reply
      const asked = waiting.get(id)
      waiting.delete(id)
      if (error) asked?.reject(new NebulaError(error.code, { message: error.message }))
      else asked?.resolve(value)
    })
    const { place, password } = this.#config
    this.#ready = this.#send(['login', place, password?.reveal()], signal)
    this.#ready.catch(() => socket.destroy())
  }

  /** A question that is given up takes its connection along. */
  async #send(question: Question, signal: AbortSignal): Promise<unknown> {
    const id = ++this.#questions
    const socket = this.#socket
    if (socket?.closed !== false) throw new NebulaError('connection_lost', { message: 'The connection was closed.' })
    const answer = Promise.withResolvers<unknown>()
    this.#waiting.set(id, answer)
    const stop = (): void => void socket?.destroy()
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    socket?.write(`${JSON.stringify({ id, question })}\n`)
    try {
      return await answer.promise
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}

interface Range {
  readonly from: number
  readonly to: number
  readonly version: number
}

function createSource(link: Link): SourceDriver {
  const ask = <T>(context: Context, ...question: Question): Promise<T> =>
    context.call((signal) => link.ask<T>(question, signal))
  return {
    open: (context) => ask(context, 'ping'),
    ping: (context) => ask(context, 'ping'),
    async version() {
      return 'Reference 1'
    },
    async close() {
      link.close()
    },
    async discover(context) {
      const streams = await ask<StoredStream[]>(context, 'catalog')
      return {
        streams: streams.map(({ name, fields, key, rows, bytes }) => {
          return { name, schema: { fields }, key, rows, bytes, wire: [] }
        }),
      }
    },
    async plan(reads, partitionBytes, previous, context): Promise<Plan> {
      const streams = await ask<StoredStream[]>(context, 'catalog')
      const before = previous?.plan.partitions ?? []
      const restart: { stream: string; reason: string }[] = []
      const partitions = reads.flatMap(({ request }) => {
        const found = streams.find(({ name }) => name === request.stream)
        if (!found) throw new NebulaError('stream_not_found', { message: `${request.stream} is not there.` })
        const kept = before.filter(({ stream }) => stream === found.name)
        const fits = kept.every(({ range }) => (range as unknown as Range).version === found.version)
        if (kept.length > 0 && fits) return kept
        if (kept.length > 0) restart.push({ stream: found.name, reason: 'it changed' })
        return cut(found, partitionBytes, request.limit)
      })
      return { partitions, restart }
    },
    read: (task, context) => readRows(task, context, ask),
  }
}

function cut({ name, rows, bytes, version }: StoredStream, partitionBytes: number, limit?: number): Plan['partitions'] {
  const wanted = Math.min(rows, limit ?? Infinity)
  const size = limit === undefined ? Math.max(1, Math.floor((partitionBytes * rows) / Math.max(1, bytes))) : wanted
  return Array.from({ length: Math.max(1, Math.ceil(wanted / Math.max(1, size))) }, (_, i) => ({
    id: `${name}#${i}`,
    stream: name,
    range: { from: i * size, to: Math.min((i + 1) * size, wanted), version },
  }))
}

type Ask = <T>(context: Context, ...question: Question) => Promise<T>

async function* readRows(task: ReadTask, context: Context, ask: Ask): AsyncGenerator<RecordBatch> {
  const { partition, batch } = task
  const range = partition.range as unknown as Range
  const catalog = await ask<StoredStream[]>(context, 'catalog')
  const names = catalog.find(({ name }) => name === partition.stream)?.fields.map(({ name }) => name) ?? []
  let at = (task.from as Range | undefined)?.from ?? range.from
  while (at < range.to) {
    await context.pool.ready(context.signal)
    const end = Math.min(at + batch.rows, range.to)
    const rows = await ask<Row[]>(context, 'rows', partition.stream, range.version, at, end, batch.bytes)
    at += rows.length
    yield batchOf(task, context, { names, rows, position: { from: at } })
  }
}

function batchOf(
  { stream: { schema, request } }: ReadTask,
  { pool }: Context,
  { names, rows, position }: { names: readonly string[]; rows: readonly Row[]; position: { from: number } },
): RecordBatch {
  const builders = schema.fields.map(({ type }) => columnBuilder(type, pool))
  const columns = builders.map((builder, index) => {
    const column = names.indexOf(schema.fields[index]?.name ?? '')
    return textColumn(
      rows.map((row) => row[column] ?? null),
      builder,
    )
  })
  const onRelease = (): void => builders.forEach((builder) => builder.free())
  return createBatch({ stream: request.stream, schema, rows: rows.length, columns, position, onRelease })
}

const LONGEST_NAME = 100

function createDestination(link: Link): DestinationDriver {
  const ask = <T>(context: Context, ...question: Question): Promise<T> =>
    context.call((signal) => link.ask<T>(question, signal))
  return {
    modes: MODES,
    open: (context) => ask(context, 'ping'),
    ping: (context) => ask(context, 'ping'),
    async close() {
      link.close()
    },
    async check(requests) {
      return requests.map(({ target }) => {
        const fits = target !== '' && Buffer.byteLength(target) <= LONGEST_NAME
        const message = `The target ${target} is empty or longer than ${LONGEST_NAME} bytes.`
        return { identity: target, problems: fits ? [] : [{ code: 'target_incompatible' as const, message }] }
      })
    },
    async describe(targets, context) {
      const found = await ask<(TargetInfo | null)[]>(context, 'describe', '', targets)
      return found.map((info) => info ?? undefined)
    },
    accept: (request, schema, _wire, target) => accept(request, schema, target),
    async recall(pipeline, context) {
      return (await ask<Recalled | null>(context, 'recall', pipeline)) ?? undefined
    },
    prepare: (run, context) => ask(context, 'prepare', run.pipeline, run),
    async writer(task, context) {
      return createWriter(link, task, context)
    },
    finish: (run, streams, context) => ask(context, 'finish', run.pipeline, run, streams),
    async sweep(run, stream, keys, context) {
      const rows: Row[] = []
      for await (const batch of keys) rows.push(...rowsOf(batch))
      return ask<number>(context, 'sweep', run.pipeline, run, stream, rows)
    },
    discard: (run, streams, context) => ask(context, 'discard', run.pipeline, run, streams),
    end: (run, context) => ask(context, 'end', run.pipeline, run),
  }
}

function accept({ mode }: StreamRequest, { fields }: Schema, target?: TargetInfo): Acceptance {
  const isKept = ({ kind }: LogicalType): boolean => !['native', 'list', 'struct'].includes(kind)
  const columns = fields.map(({ type, offers = [type] }) => ({ type, as: offers.find(isKept) ?? type }))
  const problems = columns.flatMap(({ as }, i): Problem[] => {
    const column = fields[i]?.name ?? ''
    return isKept(as) ? [] : [{ code: 'unsupported', column, message: `column ${column}: ${as.kind} is not kept` }]
  })
  const strange = mode === 'append' && target ? fields.slice(0, target.schema.fields.length) : []
  for (const [i, { name }] of strange.entries()) {
    const standing = target?.schema.fields[i]?.name
    if (standing !== name)
      problems.push({ code: 'target_incompatible', message: `The target has ${standing} in place of ${name}.` })
  }
  return {
    columns: columns.map(({ type, as }) => ({ as, type: as.kind, fidelity: as === type ? 'exact' : 'widened' })),
    ddl: [],
    guarantee: 'exactly_once',
    problems,
  }
}

/** Keeps rows as texts, and sends them with the commit. */
function createWriter(link: Link, task: WriteTask, context: Context): Writer {
  let rows: Row[] = []
  const ask = <T>(...question: Question): Promise<T> =>
    context.call((signal) => link.ask<T>(question, signal), { idempotent: false })
  return {
    async write(batch, from, to) {
      const given = rowsOf(batch).slice(from, to)
      const refusals = task.isolate ? await ask<(string | null)[]>('judge', given) : []
      rows.push(...given.filter((_, i) => (refusals[i] ?? null) === null))
      return refusals.flatMap((reason, i): Rejection[] => {
        const row = from + i
        return reason === null ? [] : [{ row, code: 'refused', reason, place: batch.place(row) }]
      })
    },
    async commit(checkpoint: Checkpoint) {
      await ask('commit', task.run.pipeline, task, rows, checkpoint)
      rows = []
    },
    async abort() {
      rows = []
    },
  }
}

function rowsOf(batch: RecordBatch): Row[] {
  const columns = batch.schema.fields.map((_, index) => columnTexts(batch.column(index)))
  return Array.from({ length: batch.rows }, (_, row) => columns.map((texts) => texts[row] ?? null))
}

/** What a broken variant does otherwise. */
export interface Defect {
  readonly source?: (good: SourceDriver, config: ReferenceConfig) => SourceDriver
  readonly destination?: (good: DestinationDriver, config: ReferenceConfig) => DestinationDriver
  readonly config?: Connector['config']
  readonly link?: (good: Link, config: ReferenceConfig) => Link
}

/** The reference connector: does all that the contract asks for. With a defect it does not. */
export function referenceConnector(defect: Defect = {}): Connector {
  const linkOf = (config: ReferenceConfig): Link => {
    const link = config.port === undefined ? new LocalLink(config.place) : new SocketLink(config)
    return defect.link?.(link, config) ?? link
  }
  return {
    contract: 1,
    name: 'reference',
    version: '1.0.0',
    config: defect.config ?? ReferenceConfig,
    source: (base) => {
      const config = base as ReferenceConfig
      const good = createSource(linkOf(config))
      return defect.source?.(good, config) ?? good
    },
    destination: (base) => {
      const config = base as ReferenceConfig
      const good = createDestination(linkOf(config))
      return defect.destination?.(good, config) ?? good
    },
  }
}

/** The store in this process. */
export const referenceOptions: SubjectOptions<undefined> = {
  config: ({ folder }) => ({ place: folder }),
  create: async ({ place }, table) => storeOf(String(place)).create(table),
  contents: async ({ place }, { name, fields }) =>
    storeOf(String(place))
      .rows(name)
      .map((row) => fields.map((_, column) => row[column] ?? null)),
  refuses: (_type, text) => text.includes('\0'),
}

/** The store behind a server. */
export const referenceServerOptions: SubjectOptions<ReferenceServer> = {
  ...referenceOptions,
  server: () => ReferenceServer.start(),
  config: ({ folder, server }) => ({ place: folder, port: server.port, password: PASSWORD }),
  through: (keys, port) => ({ ...keys, port }),
}
