import type { Field, Mode } from '@nebula/core'
import { isNebulaError } from '@nebula/core'
import type { Row } from '../../memory/memory-connector.ts'
import type { MemorySource } from '../../memory/memory-source.ts'
import { acceptanceOf } from '../acceptance.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectRows } from '../expect-rows.ts'
import { expectThat } from '../expect-that.ts'
import { needsDestination } from '../needs.ts'
import type { Place } from '../place.ts'
import type { Table } from '../table.ts'
import { numbered } from '../tables.ts'
import { rowsOf, write, writeAll } from '../transfer.ts'

const NAME = 'moded'
const FIRST = numbered(NAME, 5)
const SECOND = numbered(NAME, 3, 100)
/** Two of the first, and one that is new. */
const CHANGED: Table = {
  ...FIRST,
  rows: [...FIRST.rows.slice(3).map(([id = null]) => [id, 'changed', null]), ['100', 'new', 'new']],
}

/** What becomes of rows that stand at the target. */
export const modeChecks: readonly Check[] = [
  {
    group: 'modes',
    name: 'overwrite replaces what a run before wrote',
    exempt: needsDestination,
    run: whereAccepted('overwrite', async (place) => {
      await writeAll(place, [FIRST])
      await writeAll(place, [SECOND])
      expectRows(await rowsOf(place, SECOND), SECOND.rows, 'Overwritten')
      const none = { ...SECOND, rows: [] }
      await writeAll(place, [none])
      expectRows(await rowsOf(place, none), [], 'Overwritten by a stream without rows')
    }),
  },
  {
    group: 'modes',
    name: 'overwrite shows readers what was there until all of it is replaced',
    exempt: needsDestination,
    run: whereAccepted('overwrite', async (place) => {
      await writeAll(place, [FIRST])
      const seen = await readDuring(place, 'overwrite')
      for (const rows of seen) expectRows(rows, FIRST.rows, 'Read while it is overwritten')
      expectRows(await rowsOf(place, SECOND), SECOND.rows, 'Overwritten')
    }),
  },
  {
    group: 'modes',
    name: 'append keeps what was there',
    exempt: needsDestination,
    run: whereAccepted('append', async (place) => {
      await writeAll(place, [FIRST], { mode: 'append' })
      await writeAll(place, [SECOND], { mode: 'append' })
      await writeAll(place, [{ ...SECOND, rows: [] }], { mode: 'append' })
      expectRows(await rowsOf(place, FIRST, 'append'), [...FIRST.rows, ...SECOND.rows], 'Appended')
    }),
  },
  {
    group: 'modes',
    name: 'append adds no row before all of them are there',
    exempt: needsDestination,
    run: whereAccepted('append', async (place) => {
      await writeAll(place, [FIRST], { mode: 'append' })
      const seen = await readDuring(place, 'append')
      for (const rows of seen) expectRows(rows, FIRST.rows, 'Read while rows are appended')
      expectRows(await rowsOf(place, FIRST, 'append'), [...FIRST.rows, ...SECOND.rows], 'Appended')
    }),
  },
  {
    group: 'modes',
    name: 'merge replaces rows whose key comes again, and keeps the others',
    exempt: needsDestination,
    run: whereMerged(async (place, keyed) => {
      const [first, second] = [keyed(FIRST), keyed(CHANGED)]
      await writeAll(place, [first], { mode: 'merge' })
      expectRows(await rowsOf(place, first, 'merge'), first.rows, 'Merged where nothing was')
      for (const times of ['once', 'twice']) {
        await writeAll(place, [second], { mode: 'merge' })
        expectRows(await rowsOf(place, first, 'merge'), [...FIRST.rows.slice(0, 3), ...CHANGED.rows], `Merged ${times}`)
      }
    }),
  },
  {
    group: 'modes',
    name: 'merge changes no row before all of them are there',
    exempt: needsDestination,
    run: whereMerged(async (place, keyed) => {
      const [first, second] = [keyed(FIRST), keyed(CHANGED)]
      await writeAll(place, [first], { mode: 'merge' })
      const seen = await readDuring(place, 'merge', second)
      for (const rows of seen) expectRows(rows, FIRST.rows, 'Read while rows are merged')
      expectRows(await rowsOf(place, first, 'merge'), [...FIRST.rows.slice(0, 3), ...CHANGED.rows], 'Merged')
    }),
  },
  {
    group: 'modes',
    name: 'merge takes no two rows with one key, and does not choose between them in silence',
    exempt: needsDestination,
    run: whereMerged(async (place, keyed) => {
      const first = keyed(FIRST)
      await writeAll(place, [first], { mode: 'merge' })
      const [row] = CHANGED.rows
      const twins = { ...first, rows: [...CHANGED.rows, [row?.[0] ?? null, 'twin', null]] }
      const failure = await writeAll(place, [twins], { mode: 'merge' }).catch((error: unknown) => error)
      expectThat(failure instanceof Error, 'A run with two rows of one key ended as done.')
      expectRows(await rowsOf(place, first, 'merge'), FIRST.rows, 'Behind a run with two rows of one key')
    }),
  },
  {
    group: 'modes',
    name: 'merge keeps how far an incremental stream came, and goes on from there',
    exempt: needsDestination,
    run: whereMerged(async (place, keyed) => {
      const [first, second] = [keyed(FIRST), keyed({ ...FIRST, rows: [...FIRST.rows, ...SECOND.rows] })]
      const [cursor = ''] = first.key ?? []
      const written: (number | undefined)[] = []
      for (const table of [first, second, second]) {
        const report = await writeAll(place, [table], { stream: { mode: 'incremental', cursor } })
        written.push(report.streams[0]?.written)
      }
      const expected = [FIRST.rows.length, SECOND.rows.length + 1, 1]
      expectThat(
        String(written) === String(expected),
        `An incremental stream wrote ${String(written)} rows instead of ${String(expected)}.`,
      )
      expectRows(await rowsOf(place, first, 'merge'), second.rows, 'Written by an incremental stream')
    }),
  },
  {
    group: 'modes',
    name: 'says which rows at a target are not its own, so that they are not overwritten unasked',
    exempt: (subject) =>
      needsDestination(subject) ?? (subject.create ? undefined : 'only `create` can make rows of others'),
    run: async (place) => {
      await place.create(FIRST)
      const before = await rowsOf(place, FIRST)
      const outcome = await write(place, { streams: [SECOND] }, { stream: { mode: undefined } }).catch(
        (error: unknown) => error,
      )
      if (place.destination().describe)
        expectThat(isNebulaError(outcome, 'target_not_ours'), 'Rows of others were overwritten without being asked.')
      expectRows(before, FIRST.rows, 'Rows of others')
      expectRows(await rowsOf(place, FIRST), FIRST.rows, 'Rows of others, protected')
      await writeAll(place, [SECOND], { mode: 'overwrite' })
      await write(place, { streams: [FIRST] }, { stream: { mode: undefined } }).then(expectDone)
      expectRows(await rowsOf(place, FIRST), FIRST.rows, 'Its own rows, replaced')
    },
  },
]

/** Checks a mode that the destination accepts; one that it does not has to be refused, before anything is written. */
function whereAccepted(
  mode: Mode,
  run: (place: Place) => Promise<void>,
  tableOf: (place: Place) => Table = () => FIRST,
): (place: Place) => Promise<void> {
  return async (place) => {
    const table = tableOf(place)
    const { problems } = await acceptanceOf(place, table, mode)
    if (problems.length === 0) return run(place)
    const outcome = await write(place, { streams: [table] }, { mode }).catch((error: unknown) => error)
    const [problem] = problems
    expectThat(isNebulaError(outcome, problem?.code), `Mode ${mode} is not accepted, and a run of it was not refused.`)
  }
}

/** The same for rows that have a key, which is their first column. */
export function whereMerged(run: (place: Place, keyed: (table: Table) => Table) => Promise<void>): Check['run'] {
  const keyedAt = (place: Place): ((table: Table) => Table) => {
    const { mergeKey } = place.subject
    return (table) => {
      const [id, ...others] = table.fields
      const key = { ...(id as Field), name: mergeKey ?? (id as Field).name }
      return { ...table, fields: [key, ...others], key: [key.name] }
    }
  }
  return whereAccepted(
    'merge',
    (place) => run(place, keyedAt(place)),
    (place) => keyedAt(place)(FIRST),
  )
}

/** What a reader sees between the commits of a run that brings a table. */
async function readDuring(place: Place, mode: Mode, table: Table = SECOND): Promise<(readonly Row[])[]> {
  const seen: (readonly Row[])[] = []
  const source: MemorySource = {
    streams: [{ ...table, cut: 1 }],
    async beforeBatch(row) {
      // Before the first one nothing is committed.
      if (row > 0) seen.push(await rowsOf(place, { ...FIRST, fields: table.fields }, mode))
    },
  }
  expectDone(await write(place, source, { mode, pipeline: { parallel: 1 } }))
  return seen
}
