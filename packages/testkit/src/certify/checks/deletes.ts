import { isNebulaError, NebulaError } from '@nebula/core'
import type { Report, StreamReport } from '@nebula/runtime'
import type { Row } from '../../memory/memory-connector.ts'
import { Faults } from '../../memory/memory-connector.ts'
import type { MemorySource } from '../../memory/memory-source.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectRows } from '../expect-rows.ts'
import { expectThat } from '../expect-that.ts'
import { needsDestination } from '../needs.ts'
import type { Place } from '../place.ts'
import type { Table } from '../table.ts'
import { numbered } from '../tables.ts'
import { rowsOf, write } from '../transfer.ts'
import { whereMerged } from './modes.ts'

const NAME = 'thinned'
const BEFORE = numbered(NAME, 6)
/** The last three of those before, and one that is new. */
const AFTER: Table = { ...BEFORE, rows: [...BEFORE.rows.slice(3), ['100', 'new', 'new']] }
const BOTH: readonly Row[] = [...BEFORE.rows, ...AFTER.rows.slice(3)]
/** Of the second batch of keys: a batch is one row, and the rows come first. */
const AMID_KEYS = AFTER.rows.length + 1

/** What becomes of rows that the source has no longer, where `deletes: hard` is asked for. */
export const deleteChecks: readonly Check[] = [
  {
    group: 'modes',
    name: 'deletes rows whose key the source has no longer, and no others',
    exempt: needsDestination,
    run: whereSwept(async (place, before, after) => {
      expectDeleted(await merge(place, { streams: [before] }), 0)
      expectRows(await rowsOf(place, before, 'merge'), BEFORE.rows, 'Merged, with nothing to be deleted')
      expectDeleted(await merge(place, { streams: [after] }), 3)
      expectRows(await rowsOf(place, before, 'merge'), AFTER.rows, 'Merged, with rows to be deleted')
    }),
  },
  {
    group: 'modes',
    name: 'deletes nothing before it has all keys, and goes on from there',
    exempt: needsDestination,
    run: whereSwept(async (place, before, after) => {
      expectDone(await merge(place, { streams: [before] }))
      const faults = new Faults((point, count) =>
        point === 'read' && count === AMID_KEYS ? new NebulaError('query_failed', { message: 'A fault.' }) : undefined,
      )
      const [failed] = (await merge(place, { streams: [after], faults })).streams
      expectThat(failed?.error?.code === 'query_failed', 'A run whose keys could not be read ended otherwise.')
      expectRows(await rowsOf(place, before, 'merge'), BOTH, 'Keys could not be read')
      expectDeleted(await merge(place, { streams: [after] }), 3)
      expectRows(await rowsOf(place, before, 'merge'), AFTER.rows, 'Gone on with')
    }),
  },
  {
    group: 'modes',
    name: 'deletes nothing for a run that was overtaken meanwhile',
    exempt: needsDestination,
    run: whereSwept(async (place, before, after) => {
      if (!place.destination().recall) return
      expectDone(await merge(place, { streams: [before] }))
      let batches = 0
      const beforeBatch = async (): Promise<void> => {
        if (batches++ === AMID_KEYS) await overtake(place)
      }
      const [stream] = (await merge(place, { streams: [after], beforeBatch })).streams
      expectThat(stream?.error?.code === 'fenced', `A run that was overtaken ended as ${told(stream)}.`)
      expectRows(await rowsOf(place, before, 'merge'), BOTH, 'Overtaken')
    }),
  },
  {
    group: 'modes',
    name: 'deletes nothing where no row would be left',
    exempt: needsDestination,
    run: whereSwept(async (place, before) => {
      const none = { ...before, rows: [] }
      expectDeleted(await merge(place, { streams: [none] }), 0)
      expectDone(await merge(place, { streams: [before] }))
      const [stream] = (await merge(place, { streams: [none] })).streams
      expectThat(stream?.error?.code === 'deletes_refused', `A source that was emptied ended as ${told(stream)}.`)
      expectRows(await rowsOf(place, before, 'merge'), BEFORE.rows, 'The source was emptied')
    }),
  },
]

/** Checks what can merge and delete; what only merges has to refuse it before anything is written. */
function whereSwept(run: (place: Place, before: Table, after: Table) => Promise<void>): Check['run'] {
  return whereMerged(async (place, keyed) => {
    const [before, after] = [keyed(BEFORE), keyed(AFTER)]
    if (place.destination().sweep) return run(place, before, after)
    const outcome = await merge(place, { streams: [before] }).catch((error: unknown) => error)
    expectThat(isNebulaError(outcome, 'unsupported'), 'It cannot delete, and a run that asks for it was not refused.')
  })
}

function merge(place: Place, source: MemorySource): Promise<Report> {
  return write(place, source, {
    mode: 'merge',
    stream: { deletes: 'hard' },
    memory: { performance: { batchSize: 1 } },
    pipeline: { parallel: 1, name: NAME },
  })
}

/** As another runner would that goes on with the run. */
async function overtake(place: Place): Promise<void> {
  const driver = await place.openDestination()
  const recalled = await driver.recall?.(NAME, place.context())
  if (!recalled) throw new Error('The run is not known.')
  await driver.prepare({ ...recalled.run, epoch: recalled.run.epoch + 1 }, place.context())
}

function expectDeleted(report: Report, rows: number): void {
  expectDone(report)
  const deleted = report.streams[0]?.deleted
  expectThat(deleted === rows, `It says that it deleted ${deleted} rows instead of ${rows}.`)
}

function told(stream: StreamReport | undefined): string {
  return stream?.error?.code ?? String(stream?.status)
}
