import { utf8 } from '@nebula/core'
import type { Check } from '../check.ts'
import { expectRows } from '../expect-rows.ts'
import { expectThat } from '../expect-that.ts'
import type { Place } from '../place.ts'
import { Reading, WIDE_LIMITS } from '../reading.ts'
import type { Table } from '../table.ts'
import { field, numbered, wide } from '../tables.ts'
import { readAll, rowsOf, writeAll } from '../transfer.ts'
import { needsDestination, needsSource } from '../needs.ts'

/** What PostgreSQL can have. */
const MOST_COLUMNS = 1600
const WIDE_BYTES = 20_000
const BATCH_BYTES = 64_000

const SMALL: readonly Table[] = [
  numbered('no_rows', 0),
  numbered('one_row', 1),
  { name: 'one_column', fields: [field('only', utf8)], rows: [['a'], [''], [null], ['b']] },
]

/** How rows are put together on their way: by rows, by bytes, or hardly at all. */
export const batchingChecks: readonly Check[] = [
  {
    group: 'batching',
    name: 'reads batches of as many rows as are asked for at most, and the same rows in each size',
    exempt: needsSource,
    run: async (place) => {
      const table = numbered('numbers', 100)
      await place.create(table)
      await using reading = await Reading.plan(place, table)
      for (const rows of [1, 7, 1000]) {
        const limits = { ...WIDE_LIMITS, rows }
        const found = []
        for (const partition of reading.partitions) {
          for await (const batch of reading.batches(partition, limits)) {
            found.push(...batch.rows)
            expectThat(batch.rows.length <= rows, `A batch of ${rows} rows at most has ${batch.rows.length}.`)
          }
        }
        expectRows(found, table.rows, `Batches of ${rows}`)
      }
    },
  },
  {
    group: 'batching',
    name: 'ends a batch of wide rows at its bytes',
    exempt: needsSource,
    run: async (place) => {
      const table = wide('wide', 40, WIDE_BYTES)
      await place.create(table)
      await using reading = await Reading.plan(place, table)
      const limits = { ...WIDE_LIMITS, bytes: BATCH_BYTES }
      // The row that fills a batch may be its last one.
      const most = Math.ceil(BATCH_BYTES / WIDE_BYTES) + 1
      const rows = []
      for (const partition of reading.partitions) {
        for await (const batch of reading.batches(partition, limits)) {
          rows.push(...batch.rows)
          const { length } = batch.rows
          expectThat(length <= most, `A batch of ${BATCH_BYTES} bytes has ${length} rows of ${WIDE_BYTES}.`)
        }
      }
      expectRows(rows, table.rows, 'Wide rows')
    },
  },
  {
    group: 'batching',
    name: 'writes the same rows in batches of one row and of many',
    exempt: needsDestination,
    run: async (place) => {
      const ones = numbered('ones', 30)
      const many = numbered('many', 30)
      await writeAll(place, [ones], { memory: { performance: { batchSize: 1 } } })
      await writeAll(place, [many])
      const rows = await readAll(place, [ones, many])
      expectRows(rows('ones'), ones.rows, 'Batches of one row')
      expectRows(rows('many'), many.rows, 'Batches of many rows')
    },
  },
  {
    group: 'batching',
    name: 'writes wide rows in small batches',
    exempt: needsDestination,
    run: async (place) => {
      const table = wide('wide', 40, WIDE_BYTES)
      await writeAll(place, [table], { memory: { performance: { batchSize: 3 } } })
      expectRows(await rowsOf(place, table), table.rows, 'Wide rows')
    },
  },
  {
    group: 'batching',
    name: 'moves a stream without rows, of one row, and of one column',
    exempt: needsDestination,
    run: async (place) => {
      await writeAll(place, SMALL)
      const rows = await readAll(place, SMALL)
      for (const table of SMALL) expectRows(rows(table.name), table.rows, table.name)
    },
  },
  {
    group: 'batching',
    name: 'moves a stream of as many columns as the system has',
    exempt: needsDestination,
    run: (place) => moveColumns(place, place.subject.maxColumns ?? MOST_COLUMNS),
  },
]

async function moveColumns(place: Place, columns: number): Promise<void> {
  const table: Table = {
    name: 'columns',
    fields: Array.from({ length: columns }, (_, i) => field(`c${i}`, { kind: 'int32' })),
    rows: Array.from({ length: 3 }, (_, row) => Array.from({ length: columns }, (_, i) => String(row * columns + i))),
  }
  await writeAll(place, [table])
  expectRows(await rowsOf(place, table), table.rows, `${columns} columns`)
}
