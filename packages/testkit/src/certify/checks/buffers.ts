import type { ReadTask, RecordBatch, SourceDriver } from '@nebula/core'
import { BufferPool } from '@nebula/core'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectFailure } from '../expect-failure.ts'
import { expectRows } from '../expect-rows.ts'
import { noDestination, noSource } from '../needs.ts'
import type { Place } from '../place.ts'
import { readTask } from '../read-task.ts'
import { sampleTable } from '../sample-table.ts'
import { Tap } from '../tap.ts'
import type { TapHooks } from '../tap.ts'

const TABLE = sampleTable('buffered', 5_000, 100)
const BATCH_ROWS = 500

/** Writes over everything that a batch holds. */
function scribble(value: unknown): void {
  if (value instanceof Uint8Array) value.fill(0x2a)
  else if (ArrayBuffer.isView(value)) new Uint8Array(value.buffer, value.byteOffset, value.byteLength).fill(0x2a)
  else if (Array.isArray(value)) value.forEach(scribble)
  else if (typeof value === 'object' && value !== null) Object.values(value).forEach(scribble)
}

function scribbleBatch(batch: RecordBatch): void {
  const columns = batch.wire ? [] : batch.schema.fields.map((_, index) => batch.column(index))
  scribble([batch.wire, columns])
}

/** Memory that is lent: who may use it, and that it comes back. */
export const bufferChecks: readonly Check[] = [
  {
    group: 'buffers',
    name: 'does not look at a batch once write has resolved',
    exempt: noDestination,
    run: async (place) => {
      const spoil: TapHooks = {
        after: ({ method, args }) => method === 'write' && scribbleBatch(args[0] as RecordBatch),
      }
      expectDone(await place.write(TABLE, { batchRows: BATCH_ROWS, tap: new Tap(spoil) }))
      expectRows(await place.contents(TABLE), TABLE.rows)
      if (!place.subject.connector.source) return
      // From itself it may take its own bytes as they come.
      const to = new Tap(spoil).endpoint(place.endpoint())
      const copied = { ...TABLE, name: 'copied' }
      const stream = { target: copied.name }
      expectDone(await place.readInto(to, TABLE, { batchRows: BATCH_ROWS, stream }))
      expectRows(await place.contents(copied), TABLE.rows)
    },
  },
  {
    group: 'buffers',
    name: 'leaves a batch that is lent to it to its owner',
    exempt: noDestination,
    run: async (place) => {
      const tap = new Tap({
        after: ({ method, args }) => {
          if (method === 'write') (args[0] as RecordBatch).column(0)
        },
      })
      expectDone(await place.write(TABLE, { batchRows: BATCH_ROWS, tap }))
    },
  },
  {
    group: 'buffers',
    name: 'lets nobody use a batch that was released',
    exempt: noSource,
    run: async (place) => {
      await place.create(TABLE)
      const batches: RecordBatch[] = []
      const tap = new Tap({
        after: ({ method }, answer) => {
          if (method !== 'read next') return
          const { done, value } = answer as IteratorResult<RecordBatch>
          if (done !== true && value.rows > 0) batches.push(value)
        },
      })
      expectDone((await place.read(TABLE, { batchRows: BATCH_ROWS, tap })).report)
      for (const batch of batches) {
        await expectFailure(async () => batch.column(0), 'A column of a batch that was released', ['released'])
        await expectFailure(async () => batch.release(), 'Releasing a batch twice', ['released'])
      }
    },
  },
  {
    group: 'buffers',
    name: 'gives all memory of a read back: at its end, left early, stopped, failed',
    exempt: noSource,
    run: async (place) => {
      await place.create(TABLE)
      await expectMemoryBack('Reading', 'read next', async (move) => (await place.read(TABLE, move)).report)
      await readSome(place, async (driver, task) => {
        const pool = new BufferPool(8_000_000)
        for await (const batch of driver.read(task, place.context({ pool }))) {
          batch.release()
          break
        }
        expectNothingUsed('A read that was left early', [pool])
        // And the driver is as good as before.
        let rows = 0
        for await (const batch of driver.read(task, place.context({ pool }))) {
          rows += batch.rows
          batch.release()
        }
        if (rows !== TABLE.rows.length) throw new Error(`Behind a read that was left early there are ${rows} rows.`)
      })
    },
  },
  {
    group: 'buffers',
    name: 'gives all memory of a writer back: at its end, stopped, failed',
    exempt: noDestination,
    run: (place) => expectMemoryBack('Writing', 'write', (move) => place.write(TABLE, move)),
  },
]

/** Runs to the end, stopped in the middle, and failing there. */
async function expectMemoryBack(
  what: string,
  method: string,
  run: (move: { batchRows: number; tap: Tap; signal?: AbortSignal }) => ReturnType<Place['run']>,
): Promise<void> {
  const whole = new Tap()
  expectDone(await run({ batchRows: BATCH_ROWS, tap: whole }))
  expectNothingUsed(what, whole.pools)
  const stop = new AbortController()
  const stopped = new Tap({ during: (call) => call.method === method && call.index === 2 && stop.abort() })
  await run({ batchRows: BATCH_ROWS, tap: stopped, signal: stop.signal }).catch(() => {})
  expectNothingUsed(`${what}, stopped,`, stopped.pools)
  const failing = new Tap({
    before: (call) => {
      if (call.method === method && call.index === 2) throw new Error('This call fails.')
    },
  })
  await run({ batchRows: BATCH_ROWS, tap: failing }).catch(() => {})
  expectNothingUsed(`${what}, failed,`, failing.pools)
}

function expectNothingUsed(what: string, pools: Iterable<BufferPool>): void {
  const used = [...pools].reduce((sum, pool) => sum + pool.statistics.used, 0)
  if (used !== 0) throw new Error(`${what} keeps ${used} bytes of the pool.`)
}

async function readSome(place: Place, work: (driver: SourceDriver, task: ReadTask) => Promise<void>): Promise<void> {
  const driver = place.source()
  try {
    const context = place.context()
    await driver.open?.(context)
    await work(driver, await readTask(place, driver, TABLE.name, { rows: BATCH_ROWS }))
  } finally {
    await driver.close?.()
  }
}
