import { once as event } from 'node:events'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { Checkpoint, Context, Field, Rejection, Run, StreamPlan, WriteTask } from '@nebula/core'
import { BufferPool, columnBuilder, createBatch, NebulaError, toNebulaError } from '@nebula/core'
import type { MemoryTables, Row, SubjectServer, Table } from '../src/index.ts'
import { memoryDestination, MemoryTarget, textColumn } from '../src/index.ts'

/** A table as a source is told of it. */
export interface StoredStream {
  readonly name: string
  readonly fields: readonly Field[]
  readonly key: readonly string[]
  readonly rows: number
  readonly bytes: number
  /** Raised by everything that changes it. */
  readonly version: number
}

/** What the store is asked; arguments and answers are JSON. */
export type Question = readonly [operation: string, ...args: readonly unknown[]]

/** The tables of one place, and what runs keep beside them: staging, checkpoints and epochs by pipeline. */
export class ReferenceStore {
  readonly #tables: MemoryTables = new Map()
  readonly #keys = new Map<string, readonly string[]>()
  readonly #targets = new Map<string, MemoryTarget>()
  /** Rows that were seen with their version; a published table has another array. */
  readonly #versions = new Map<string, { rows: readonly Row[]; version: number }>()

  create({ name, fields, rows, key = [] }: Table): void {
    this.#tables.set(name, { schema: { fields }, rows: [...rows], foreign: true })
    this.#keys.set(name, key)
  }

  rows(name: string): readonly Row[] {
    return this.#tables.get(name)?.rows ?? []
  }

  async answer([operation, ...args]: Question): Promise<unknown> {
    const own = this.#own[operation]
    if (own) return own(args)
    const [pipeline, run, more, checkpoint] = args as [string, Run, string[], Checkpoint]
    const driver = memoryDestination({ target: this.#target(pipeline), refuses })
    if (operation === 'describe') return driver.describe?.(run as unknown as string[], CONTEXT)
    if (operation === 'recall') return (await driver.recall?.(pipeline, CONTEXT)) ?? null
    if (operation === 'prepare') return driver.prepare(run, CONTEXT)
    if (operation === 'finish' || operation === 'discard') return driver[operation]?.(run, more, CONTEXT)
    if (operation === 'end') return driver.end?.(run, CONTEXT)
    const task = run as unknown as WriteTask
    const writer = await driver.writer(task, CONTEXT)
    const batch = batchOf(task.stream, more as unknown as Row[])
    const rejected: readonly Rejection[] = await writer.write(batch, 0, batch.rows)
    if (rejected.length > 0) throw new NebulaError('internal', { message: 'Rows were judged before.' })
    return writer.commit(checkpoint)
  }

  /** What is no question to the driver, or has other arguments. */
  readonly #own: { readonly [operation: string]: (args: readonly unknown[]) => unknown } = {
    ping: () => true,
    sweep: ([pipeline, run, stream, keys]) => {
      const driver = memoryDestination({ target: this.#target(pipeline) })
      const batch = batchOf(stream as StreamPlan, keys as Row[])
      return driver.sweep?.(run as Run, stream as StreamPlan, once(batch), CONTEXT)
    },
    catalog: () => [...this.#tables.keys()].map((name) => this.#stream(name)),
    rows: ([name, ...rest]) => this.#slice(String(name), rest as [number, number, number, number]),
    judge: ([rows]) => (rows as Row[]).map((row) => refuses(row) ?? null),
  }

  #target(pipeline: unknown): MemoryTarget {
    const target = this.#targets.get(String(pipeline)) ?? new MemoryTarget(this.#tables)
    this.#targets.set(String(pipeline), target)
    return target
  }

  #stream(name: string): StoredStream {
    const { schema, rows } = this.#tables.get(name) ?? { schema: { fields: [] }, rows: [] }
    const known = this.#versions.get(name) ?? { rows, version: 1 }
    const now = known.rows === rows ? known : { rows, version: known.version + 1 }
    this.#versions.set(name, now)
    const bytes = rows.reduce((sum, row) => sum + sizeOf(row), 0)
    const { fields } = schema
    return { name, fields, key: this.#keys.get(name) ?? [], rows: rows.length, bytes, version: now.version }
  }

  /** Rows from `from`, before `to`, of so many bytes at most, but one at least. */
  #slice(name: string, [version, from, to, bytes]: readonly [number, number, number, number]): Row[] {
    if (this.#stream(name).version !== version)
      throw new NebulaError('source_changed', { message: `${name} is no longer what it was when it was planned.` })
    const rows: Row[] = []
    let size = 0
    for (const row of this.rows(name).slice(from, to)) {
      size += sizeOf(row)
      if (rows.length > 0 && size > bytes) break
      rows.push(row)
    }
    return rows
  }
}

/** Rows that hold a zero byte are refused. */
function refuses(row: Row): string | undefined {
  return row.some((value) => value?.includes('\0')) ? 'a value holds a zero byte' : undefined
}

/** What the memory destination needs of a context: nothing. */
const CONTEXT = {} as Context

function sizeOf(row: Row): number {
  return row.reduce((sum, value) => sum + (value?.length ?? 0), 0)
}

async function* once<T>(one: T): AsyncGenerator<T> {
  yield one
}

function batchOf(stream: StreamPlan, rows: readonly Row[]): ReturnType<typeof createBatch> {
  const pool = new BufferPool(Infinity)
  const columns = stream.schema.fields.map(({ type }, index) =>
    textColumn(
      rows.map((row) => row[index] ?? null),
      columnBuilder(type, pool),
    ),
  )
  return createBatch({ stream: stream.request.stream, schema: stream.schema, rows: rows.length, columns })
}

const stores = new Map<string, ReferenceStore>()

/** The store of a place; made when it is first asked for. */
export function storeOf(place: string): ReferenceStore {
  const store = stores.get(place) ?? new ReferenceStore()
  stores.set(place, store)
  return store
}

/** Tells of every whole line that arrives. */
export function onLines(socket: Socket, told: (line: string) => void): void {
  let rest = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    lines.forEach(told)
  })
}

/** What clients log in with. */
export const PASSWORD = 'Re!f-s3cret/reference'

/** Stores behind a port: a line of JSON for each question and each answer. What it holds survives `kill`. */
export class ReferenceServer implements SubjectServer {
  port = 0
  readonly #sockets = new Set<Socket>()
  #listener: Server | undefined
  #running = Promise.withResolvers<void>()

  static async start(): Promise<ReferenceServer> {
    const server = new ReferenceServer()
    await server.restart()
    return server
  }

  kill(signal: NodeJS.Signals): void {
    if (signal === 'SIGSTOP') this.#running = Promise.withResolvers()
    else if (signal === 'SIGCONT') this.#running.resolve()
    else {
      this.#listener?.close()
      this.#listener = undefined
      for (const socket of this.#sockets) socket.resetAndDestroy()
    }
  }

  async restart(): Promise<void> {
    if (this.#listener) return
    this.#running.resolve()
    const listener = createServer((socket) => this.#serve(socket))
    listener.listen(this.port, '127.0.0.1')
    await event(listener, 'listening')
    this.port = (listener.address() as AddressInfo).port
    this.#listener = listener
  }

  async stop(): Promise<void> {
    this.kill('SIGKILL')
  }

  /** The first line is the place and the password. */
  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket))
    let store: ReferenceStore | undefined
    let last = Promise.resolve()
    onLines(socket, (line) => {
      last = last.then(async () => {
        const { id, question } = JSON.parse(line) as { id: number; question: Question }
        const login = (): boolean => {
          const [, place, password] = question
          if (password !== PASSWORD)
            throw new NebulaError('authentication_failed', { message: 'The password is wrong.' })
          store = storeOf(String(place))
          return true
        }
        const reply = await (async () => (store ? store.answer(question) : login()))().then(
          (value: unknown) => ({ id, value }),
          (error: unknown) => ({ id, error: toNebulaError(error).toJSON() }),
        )
        await this.#running.promise
        if (!socket.destroyed) socket.write(`${JSON.stringify(reply)}\n`)
      })
    })
  }
}
