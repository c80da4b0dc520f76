import type { Field, Mode } from '@nebula/core'
import { isNebulaError, NebulaError, utf8 } from '@nebula/core'
import { runPipeline } from '@nebula/runtime'
import { Faults } from '../../memory/memory-connector.ts'
import { MemoryTarget } from '../../memory/memory-destination.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectRows } from '../expect-rows.ts'
import { expectThat } from '../expect-that.ts'
import { killedAt } from '../kill.ts'
import { needsDestination, needsSource } from '../needs.ts'
import type { Place } from '../place.ts'
import type { Table } from '../table.ts'
import { rowsAt } from '../table-rows.ts'
import { field } from '../tables.ts'
import { IMPATIENT, reading, rowsOf, write, writeAll } from '../transfer.ts'

const ID = field('id', { kind: 'int64' })
const TEXT = field('text', utf8)
const COUNT = field('count', { kind: 'int32' })
const ROWS = 60
/** There are more of them, too, once the columns are others. */
const MORE_ROWS = 4
/** Two are committed when the run is killed. */
const PARTITIONS = 6

function table(name: string, fields: readonly Field[], rows: number): Table {
  const value = ({ name: column }: Field, row: number): string => (column === 'text' ? `text ${row}` : String(row))
  return {
    name,
    fields,
    rows: Array.from({ length: rows }, (_, row) => fields.map((column) => value(column, row))),
  }
}

/** What becomes of a stream between two readings. */
interface Change {
  readonly what: string
  readonly before: Table
  readonly after: Table
}

const CHANGES: readonly Change[] = (
  [
    ['a column was added', [ID, TEXT, COUNT, field('more', { kind: 'int32' })]],
    ['a column was removed', [ID, TEXT]],
    ['the type of a column was changed', [ID, TEXT, field('count', { kind: 'int64' })]],
    ['a column has another name', [ID, TEXT, field('total', { kind: 'int32' })]],
  ] as const
).map(([what, fields], i) => {
  const name = `changing_${i}`
  return { what, before: table(name, [ID, TEXT, COUNT], ROWS), after: table(name, fields, ROWS + MORE_ROWS) }
})

/** Columns that are others than they were. */
export const schemaChangeChecks: readonly Check[] = [
  {
    group: 'schema change',
    name: 'overwrites a target that has other columns, or says why not',
    exempt: needsDestination,
    run: (place) => forEachChange((change) => followedOrRefused(place, change, 'overwrite')),
  },
  {
    group: 'schema change',
    name: 'appends to a target that has other columns, or says why not',
    exempt: needsDestination,
    run: (place) => forEachChange((change) => followedOrRefused(place, change, 'append')),
  },
  {
    group: 'schema change',
    name: 'begins again as a destination when columns changed while the run was down',
    exempt: needsDestination,
    run: (place) => forEachChange((change) => resumeWriting(place, change)),
  },
  {
    group: 'schema change',
    name: 'begins again as a source when columns changed while the run was down',
    exempt: needsSource,
    run: (place) => forEachChange((change) => resumeReading(place, change)),
  },
]

/** Says of which change it is what does not hold. */
async function forEachChange(run: (change: Change) => Promise<void>): Promise<void> {
  for (const change of CHANGES) {
    try {
      await run(change)
    } catch (error) {
      throw new Error(`When ${change.what}: ${String(error)}`, { cause: error })
    }
  }
}

/** Rows of the new columns arrive as they are, or the run says before it writes what stands against it. */
async function followedOrRefused(place: Place, { before, after }: Change, mode: Mode): Promise<void> {
  await writeAll(place, [before], { mode })
  let report
  try {
    report = await write(place, { streams: [after] }, { mode })
  } catch (error) {
    expectThat(isNebulaError(error, 'target_incompatible'), `It was refused without saying why: ${String(error)}`)
    const named = [...after.fields, ...before.fields].some(({ name }) => error.message.includes(name))
    expectThat(named, `The refusal names no column: ${error.message}`)
    expectRows(await rowsOf(place, before, mode), before.rows, 'A target that was not to be changed')
    return
  }
  expectDone(report)
  const columns = after.fields.map(({ name }) => before.fields.findIndex((column) => column.name === name))
  const kept = mode === 'append' ? before.rows.map((row) => columns.map((index) => row[index] ?? null)) : []
  expectRows(await rowsOf(place, after, mode), [...kept, ...after.rows], 'Followed')
}

async function resumeWriting(place: Place, { before, after }: Change): Promise<void> {
  const cut = { cut: ROWS / PARTITIONS }
  const end = killedAt('behind', 2).endpoint(place.endpoint(IMPATIENT))
  await write(place, { streams: [{ ...before, ...cut }] }, { pipeline: { parallel: 1 }, end })
  const report = await write(place, { streams: [{ ...after, ...cut }] }, { pipeline: { parallel: 1 } })
  expectDone(report)
  expectRows(await rowsOf(place, after), after.rows, 'Begun again')
  if (place.destination().recall) expectThat(report.restarted.length === 1, 'Nobody was told that it began again.')
}

async function resumeReading(place: Place, { before, after }: Change): Promise<void> {
  const target = new MemoryTarget()
  const faults = new Faults((point, count) =>
    point === 'committed' && count === 0 ? new NebulaError('internal', { message: 'killed' }) : undefined,
  )
  const end = place.endpoint({ advanced: { partitionBytes: 100 } })
  const how = { end, pipeline: { parallel: 1, name: before.name }, asFound: true }
  await place.create(before)
  await runPipeline(await reading(place, [before], { target, faults }, how))
  await place.create(after)
  expectDone(await runPipeline(await reading(place, [after], { target }, how)))
  expectRows(rowsAt(place.subject, target, after), after.rows, 'Begun again')
}
