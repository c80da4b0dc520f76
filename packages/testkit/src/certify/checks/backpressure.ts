import { setTimeout as sleep } from 'node:timers/promises'
import type { RecordBatch } from '@nebula/core'
import { BufferPool } from '@nebula/core'
import type { Check } from '../check.ts'
import { noServer, noSource } from '../needs.ts'
import type { Place } from '../place.ts'
import { readTask } from '../read-task.ts'
import { sampleTable } from '../sample-table.ts'
import type { Keys, Subject } from '../subject.ts'
import type { Table } from '../table.ts'

/** So long nothing comes from a source that waits. */
const QUIET_MS = 300
/** Of the time in which it waits, a source may be at work. */
const BUSY_SHARE = 0.5
const POOL_BYTES = 1_000_000
const TABLE = sampleTable('pressed', 8_000, 1_000)
/** More than what the kernel holds on its way through two connections. */
const LARGE = sampleTable('pressed', 6_000, 4_000)

/** What takes a source before a server. */
const noServedSource = (subject: Subject): string | undefined => noSource(subject) ?? noServer(subject)

/** Waits at both ends: a source reads no faster than its batches are released, and rests while it waits. */
export const backpressureChecks: readonly Check[] = [
  {
    group: 'backpressure',
    name: 'reads no further than memory allows, and rests until there is some',
    exempt: noSource,
    run: async (place) => {
      await place.create(TABLE)
      await holding(place, { table: TABLE }, async ({ bytes }) => {
        if (bytes <= 3 * POOL_BYTES) return
        throw new Error(`${bytes} bytes were read though ${POOL_BYTES} are allowed and nothing was released.`)
      })
    },
  },
  {
    group: 'backpressure',
    name: 'leaves rows with the server while nobody takes them',
    exempt: noServedSource,
    run: async (place) => {
      await place.create(LARGE)
      const { proxy, keys } = await place.proxy()
      await using _proxy = proxy
      await holding(place, { table: LARGE, keys, progress: () => proxy.toClient.bytes }, async () => {
        const all = LARGE.rows.length * 4_000
        if (proxy.toClient.bytes < (2 / 3) * all) return
        throw new Error(`${proxy.toClient.bytes} of about ${all} bytes came though nobody took them.`)
      })
    },
  },
  {
    group: 'backpressure',
    name: 'rests while the server is silent',
    exempt: noServedSource,
    run: async (place) => {
      await place.create(TABLE)
      const { proxy, keys } = await place.proxy()
      await using _proxy = proxy
      const driver = place.source(keys)
      const stop = new AbortController()
      const context = place.context({ keys, signal: stop.signal })
      try {
        await driver.open?.(context)
        const task = await readTask(place, driver, TABLE.name)
        proxy.blackHole()
        const reading = driver.read(task, context)[Symbol.asyncIterator]().next()
        reading.catch(() => {})
        await expectRest()
      } finally {
        stop.abort()
        await driver.close?.()
      }
    },
  },
]

interface Held {
  readonly table: Table
  readonly keys?: Keys
  /** Rises while the source is at work. */
  readonly progress?: () => number
}

/** Takes batches and keeps them until no more come; then `look` judges, and the rest must come once they are released. */
async function holding(
  place: Place,
  { table, keys = {}, progress = () => 0 }: Held,
  look: (held: { readonly bytes: number }) => Promise<void>,
): Promise<void> {
  const driver = place.source(keys)
  const stop = new AbortController()
  const context = place.context({ keys, pool: new BufferPool(POOL_BYTES), signal: stop.signal })
  let batches: AsyncIterator<RecordBatch> | undefined
  const held: RecordBatch[] = []
  try {
    await driver.open?.(context)
    const task = await readTask(place, driver, table.name, { bytes: POOL_BYTES / 8 })
    batches = driver.read(task, context)[Symbol.asyncIterator]()
    let rows = 0
    let bytes = 0
    let next = batches.next()
    for (let first = await unlessQuiet(next, progress); first; first = await unlessQuiet(next, progress)) {
      if (first.done === true) break
      held.push(first.value)
      rows += first.value.rows
      bytes += first.value.byteLength
      await look({ bytes })
      next = batches.next()
    }
    await look({ bytes })
    if (context.pool.statistics.used > 0) await expectRest()
    for (const batch of held.splice(0)) batch.release()
    for (let result = await next; result.done !== true; result = await batches.next()) {
      rows += result.value.rows
      result.value.release()
    }
    if (rows !== table.rows.length) throw new Error(`${rows} rows came in the end, of ${table.rows.length}.`)
  } finally {
    stop.abort()
    for (const batch of held) batch.release()
    await batches?.return?.().catch(() => {})
    await driver.close?.()
  }
}

/** Undefined when it does not come, and nothing else does either. */
async function unlessQuiet<T>(next: Promise<T>, progress: () => number): Promise<T | undefined> {
  for (;;) {
    const before = progress()
    const result = await Promise.race([next, sleep(QUIET_MS).then(() => undefined)])
    if (result !== undefined || progress() === before) return result
  }
}

async function expectRest(): Promise<void> {
  const before = performance.eventLoopUtilization()
  await sleep(QUIET_MS)
  const { utilization } = performance.eventLoopUtilization(before)
  if (utilization > BUSY_SHARE)
    throw new Error(`It is busy for ${Math.round(utilization * 100)} % of the time in which it waits.`)
}
