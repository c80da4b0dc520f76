import type { Position } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Report } from '@nebula/runtime'
import { runPipeline } from '@nebula/runtime'
import type { Row } from '../../memory/memory-connector.ts'
import { Faults } from '../../memory/memory-connector.ts'
import { MemoryTarget } from '../../memory/memory-destination.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectRows } from '../expect-rows.ts'
import { expectThat } from '../expect-that.ts'
import { needsSource } from '../needs.ts'
import type { Place } from '../place.ts'
import { Reading, WIDE_LIMITS } from '../reading.ts'
import type { Table } from '../table.ts'
import { rowsAt } from '../table-rows.ts'
import { wide } from '../tables.ts'
import { IMPATIENT, reading } from '../transfer.ts'

/** Forty pages of a database. */
const ROWS = 640
const ROW_BYTES = 500
const TABLE_BYTES = ROWS * ROW_BYTES
/** Of the runs that are killed; many enough that some partitions are committed and some are not. */
const KILLED_PARTITIONS = 3

/** How a source cuts a stream, and goes on with one. */
export const partitionChecks: readonly Check[] = [
  {
    group: 'partitions',
    name: 'gives every row once, however many partitions are asked for',
    exempt: needsSource,
    run: async (place) => {
      const table = await created(place)
      for (const count of [1, 2, 7, 64]) {
        await using plan = await Reading.plan(place, table, Math.ceil(TABLE_BYTES / count))
        expectRows(await plan.rows(), table.rows, `${count} partitions asked for, ${plan.partitions.length} planned`)
      }
    },
  },
  {
    group: 'partitions',
    name: 'gives partitions ids that are unique, and the same when it plans again',
    exempt: needsSource,
    run: async (place) => {
      const table = await created(place)
      const ids = async (): Promise<string[]> => {
        await using plan = await Reading.plan(place, table, TABLE_BYTES / 7)
        return plan.partitions.map(({ id }) => id)
      }
      const first = await ids()
      const second = await ids()
      expectThat(new Set(first).size === first.length, `Two partitions have one id: ${first.join(', ')}.`)
      expectThat(String(first) === String(second), `Planned again, ${first.join(', ')} are ${second.join(', ')}.`)
    },
  },
  {
    group: 'partitions',
    name: 'reads partitions that went through JSON to another driver',
    exempt: needsSource,
    run: async (place) => {
      const table = await created(place)
      await using plan = await Reading.plan(place, table, TABLE_BYTES / 7)
      await using other = await plan.elsewhere(place, table)
      expectRows(await other.rows(), table.rows, 'Read by another driver')
    },
  },
  {
    group: 'partitions',
    name: 'goes on behind every position that it gives',
    exempt: needsSource,
    run: async (place) => {
      const table = await created(place)
      await using plan = await Reading.plan(place, table, TABLE_BYTES / 2)
      for (const partition of plan.partitions) {
        const positions: [Position, Row[]][] = []
        for await (const { rows, position } of plan.batches(partition, { ...WIDE_LIMITS, rows: 50 })) {
          for (const [, behind] of positions) behind.push(...rows)
          if (position !== undefined) positions.push([position, []])
        }
        for (const [position, behind] of positions) {
          const rows: Row[] = []
          for await (const batch of plan.batches(partition, WIDE_LIMITS, position)) rows.push(...batch.rows)
          expectRows(rows, behind, `Behind ${JSON.stringify(position)}`)
        }
      }
    },
  },
  {
    group: 'partitions',
    name: 'goes on with a stream that did not change, killed behind each commit',
    exempt: needsSource,
    run: async (place) => {
      const table = await created(place)
      const target = new MemoryTarget()
      let isDone = false
      for (let kills = 0; kills <= KILLED_PARTITIONS && !isDone; kills++)
        isDone = (await killedRun(place, table, target)).status === 'done'
      // A source that cannot prove anything begins again each time.
      if (!isDone) expectDone(await runPipeline(await cutReading(place, table, { target })))
      expectRows(rowsAt(place.subject, target, table), table.rows, 'Killed behind each commit')
    },
  },
  {
    group: 'partitions',
    name: 'neither loses nor doubles rows that moved between a kill and the resume',
    exempt: needsSource,
    run: async (place) => {
      const table = await created(place)
      const { update } = place.subject
      // What was read comes last now.
      const changed: Table = {
        ...table,
        rows: table.rows.map(([id, text]) => [id ?? null, `${text ?? ''}!`]).reverse(),
      }
      const target = new MemoryTarget()
      await killedRun(place, table, target)
      await killedRun(place, table, target)
      if (update) await update(place.keys, changed)
      else await place.create(changed)
      expectDone(await runPipeline(await cutReading(place, changed, { target })))
      const rows = rowsAt(place.subject, target, table)
      expectRows(rows.map(idOf), changed.rows.map(idOf), 'Rows moved')
      // As they were when they were read; where they may have moved, all of them were read again.
      const known = new Set([...table.rows, ...changed.rows].map((row) => JSON.stringify(row)))
      expectThat(
        rows.every((row) => known.has(JSON.stringify(row))),
        'A row is as it never was.',
      )
    },
  },
]

const idOf = ([id]: Row): Row => [id ?? null]

async function created(place: Place): Promise<Table> {
  const table = wide('cut', ROWS, ROW_BYTES)
  await place.create(table)
  return table
}

/** A run, or what is left of it, that is killed behind its first commit. */
async function killedRun(place: Place, table: Table, target: MemoryTarget): Promise<Report> {
  const faults = new Faults((point, count) => {
    return point === 'committed' && count === 0 ? new NebulaError('internal', { message: 'killed' }) : undefined
  })
  return runPipeline(await cutReading(place, table, { target, faults }))
}

function cutReading(
  place: Place,
  table: Table,
  destination: { readonly target: MemoryTarget; readonly faults?: Faults },
): ReturnType<typeof reading> {
  const end = place.endpoint({ ...IMPATIENT, advanced: { partitionBytes: TABLE_BYTES / KILLED_PARTITIONS } })
  return reading(place, [table], destination, { end, pipeline: { parallel: 1 } })
}
