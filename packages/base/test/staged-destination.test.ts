import type { Context, Mode, Run, StreamPlan, Writer, WriteTask } from '@nebula/core'
import { isNebulaError } from '@nebula/core'
import { expect, test } from 'vitest'
import type { Places, StagedStream, StandingTarget } from '../src/index.ts'
import { lostStaging, StagedDestination } from '../src/index.ts'
import { MemoryRecords } from './memory-records.ts'

const CONTEXT = {} as Context
const MODES: Record<string, Mode> = { replaced: 'overwrite', created: 'overwrite', more: 'append', begun: 'append' }
const STREAMS = Object.entries(MODES).map(([stream, mode]) => {
  return { request: { stream, mode }, target: stream, generation: 0 } as StreamPlan
})
const PARTITIONS = STREAMS.flatMap(({ request: { stream } }) => {
  return ['1', '2'].map((part) => ({ id: `${stream}${part}`, stream, range: null }))
})
/** What is at the targets in the end. */
const MOVED = {
  replaced: ['replaced1', 'replaced2'],
  created: ['created1', 'created2'],
  more: ['more1', 'more2', 'there'],
  begun: ['begun1', 'begun2'],
}

interface Collection {
  readonly id: string
  readonly rows: Set<string>
}

/** What lives longer than a process: collections by name, without transactions. */
class Store {
  collections = new Map<string, Collection>([
    ['replaced', { id: 'old', rows: new Set(['there']) }],
    ['more', { id: 'other', rows: new Set(['there']) }],
  ])
  records: MemoryRecords['records'] = new Map([
    ['["","old"]', { pipeline: '', part: 'old', epoch: 0, sequence: 0, stream: 'replaced' }],
  ])
  ids = 0

  clone(): Store {
    const { collections, records, ids } = this
    return Object.assign(new Store(), structuredClone({ collections, records, ids }))
  }

  rows(): Record<string, string[]> {
    const targets = [...this.collections].filter(([name]) => name in MODES)
    return Object.fromEntries(targets.map(([name, { rows }]) => [name, [...rows].toSorted()]))
  }

  staging(): string[] {
    return [...this.collections.keys()].filter((name) => !(name in MODES))
  }
}

type Step = () => void | Promise<void>

const nothing = async (): Promise<void> => {}

class MemoryDestination extends StagedDestination<object, string> {
  readonly #store: Store
  readonly #step: Step

  /** `step` is called before each change. */
  constructor(store: Store, step: Step) {
    const end = { open: nothing, ping: nothing, close: nothing, version: async () => 'memory' }
    super(end, new MemoryRecords(step, store.records), 'here')
    this.#store = store
    this.#step = step
  }

  protected readonly work = <T>(_: Context, _doing: string, work: (session: object) => Promise<T>): Promise<T> =>
    work({})

  protected async standing(_: object, targets: readonly string[]): Promise<(StandingTarget | undefined)[]> {
    return targets.map((name) => {
      const found = this.#store.collections.get(name)
      const hasRows = async () => found !== undefined && found.rows.size > 0
      return found && { name, id: found.id, info: { schema: { fields: [] } }, hasRows }
    })
  }

  protected async staged(_: object, prefix: string): Promise<Places<string>> {
    return new Map(this.#names(prefix).map((name) => [name, name]))
  }

  protected async stage(_: object, staged: StagedStream, found: string | undefined): Promise<void> {
    await this.#step()
    const name = this.stagingName(staged)
    if (found === undefined) this.#store.collections.set(name, { id: `id${this.#store.ids++}`, rows: new Set() })
    else if (found !== name) this.#rename(found, name)
  }

  protected async drop(_: object, name: string): Promise<void> {
    await this.#step()
    this.#store.collections.delete(name)
  }

  protected async move(session: object, staged: StagedStream, moving: () => Promise<void>): Promise<void> {
    const { target, request } = staged.stream
    const name = this.stagingName(staged)
    const [from, to] = [this.#store.collections.get(name), this.#store.collections.get(target)]
    if (!from) throw lostStaging(staged)
    if (to && request.mode === 'append') {
      for (const row of from.rows) {
        await this.#step()
        to.rows.add(row)
      }
      return
    }
    await this.checkpoints.own(session, target, from.id, to?.id)
    await moving()
    await this.#step()
    this.#rename(name, target)
  }

  protected override stagingEpoch({ epoch }: Run): number {
    return epoch
  }

  async writer(task: WriteTask): Promise<Writer> {
    const name = this.stagingName(task)
    return {
      write: async () => {
        await this.#step()
        const rows = this.#store.collections.get(name)?.rows ?? new Set()
        this.#store.collections.set(name, { id: 'implicit', ...this.#store.collections.get(name), rows })
        rows.add(task.partition.id)
        return []
      },
      commit: async (checkpoint) => this.checkpoints.commit({}, task, checkpoint),
      abort: nothing,
    }
  }

  protected async sweepTarget(): Promise<number> {
    return 0
  }

  #names(prefix: string): string[] {
    return [...this.#store.collections.keys()].filter((name) => name.startsWith(prefix))
  }

  #rename(from: string, to: string): void {
    const found = this.#store.collections.get(from)
    if (!found) throw new Error(`There is no ${from}.`)
    this.#store.collections.delete(from)
    this.#store.collections.set(to, found)
  }
}

/** One process, from its recall to its end. What it finds at targets that it may overwrite is never foreign. */
async function go(store: Store, step: Step): Promise<void> {
  const destination = new MemoryDestination(store, step)
  const recalled = await destination.recall('shop', CONTEXT)
  const [replaced] = await destination.describe(['replaced'], CONTEXT)
  expect(replaced?.foreignRows).toBe(false)
  if (recalled?.ended) return
  const left = PARTITIONS.filter(({ stream }) => !recalled?.finished.includes(stream))
  const plan = { partitions: left, restart: [] }
  const epoch = (recalled?.run.epoch ?? 0) + 1
  const id = recalled?.run.id ?? `run${store.ids++}`
  const run: Run = { pipeline: 'shop', id, epoch, fingerprint: '', plan, streams: STREAMS }
  await destination.prepare(run, CONTEXT)
  const committed = recalled?.checkpoints.map(({ partition }) => partition)
  for (const partition of left) {
    if (committed?.includes(partition.id)) continue
    const stream = STREAMS.find(({ request }) => request.stream === partition.stream) as StreamPlan
    const writer = await destination.writer({ run, partition, stream, order: 0, partitions: 1, isolate: false })
    await writer.write({} as never, 0, 1)
    const counts = { read: 1, written: 1, filtered: 0, rejected: 0, bytes: 0 }
    await writer.commit({ partition: partition.id, sequence: 1, done: true, counts })
  }
  for (const { request } of STREAMS)
    if (!recalled?.finished.includes(request.stream)) await destination.finish(run, [request.stream], CONTEXT)
  await destination.end(run, CONTEXT)
}

const codeOf = (error: unknown): string => (isNebulaError(error) ? error.code : 'internal')

class Killed extends Error {}

/** A step that kills at the change number `last`. */
function killAt(last: number): { step: Step; killed: () => boolean } {
  let steps = 0
  const step = (): void => {
    if (steps++ >= last) throw new Killed()
  }
  return { step, killed: () => steps > last }
}

/** What a process that begins with a store leaves when it is killed, at one change after the other. */
async function* kills(begin: Store): AsyncGenerator<{ readonly point: number; readonly store: Store }> {
  for (let point = 0; ; point++) {
    const store = begin.clone()
    const { step, killed } = killAt(point)
    await go(store, step).catch((error: unknown) => {
      if (!(error instanceof Killed)) throw error
    })
    if (!killed()) return
    yield { point, store }
  }
}

test('killed at any change, and once more at any other, it goes on to the same end', async () => {
  let runs = 0
  for await (const first of kills(new Store())) {
    for await (const { point, store } of kills(first.store)) {
      await go(store, nothing)
      const at = [first.point, point]
      expect([at, store.rows(), store.staging()]).toEqual([at, MOVED, []])
      // The run, and what is ours: three targets, and the one that stood there.
      const left = [...store.records.values()].map(({ pipeline }) => pipeline)
      expect(left.toSorted()).toEqual(['', '', '', '', 'shop'])
      runs++
    }
  }
  expect(runs).toBeGreaterThan(1000)
})

test('stopped at any change while another process takes over and ends, it changes no target behind it', async () => {
  const codes = new Set<string>()
  for await (const { point } of kills(new Store())) {
    const store = new Store()
    const [stopped, woken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let steps = 0
    const zombie = go(store, () => {
      if (steps++ !== point) return undefined
      stopped.resolve()
      return woken.promise
    })
    await stopped.promise
    await go(store, nothing)
    expect([point, store.rows()]).toEqual([point, MOVED])
    woken.resolve()
    codes.add(await zombie.then(() => 'done', codeOf))
    expect([point, store.rows()]).toEqual([point, MOVED])
  }
  // Internal: what it was about to rename is not there.
  expect([...codes].toSorted()).toEqual(['fenced', 'internal'])
})

test('what was in staging that somebody dropped comes again', async () => {
  let lost = 0
  for await (const { point, store } of kills(new Store())) {
    const isMoving = [...store.records.values()].some(({ content }) => Object.hasOwn(content ?? {}, 'moving'))
    if (isMoving) continue
    lost += store.staging().length
    for (const name of store.staging()) store.collections.delete(name)
    await go(store, nothing)
    expect([point, store.rows()]).toEqual([point, MOVED])
  }
  expect(lost).toBeGreaterThan(0)
})

test('staging that is dropped between recall and prepare stops the run', async () => {
  const codes = new Set<string>()
  for await (const { store } of kills(new Store())) {
    if (store.staging().length < STREAMS.length) continue
    const destination = new MemoryDestination(store, nothing)
    const recalled = await destination.recall('shop', CONTEXT)
    for (const name of store.staging()) store.collections.delete(name)
    const run = { ...(recalled?.run as Run), epoch: 2 }
    codes.add(await destination.prepare(run, CONTEXT).then(() => 'done', codeOf))
  }
  expect([...codes]).toEqual(['conflict'])
})
