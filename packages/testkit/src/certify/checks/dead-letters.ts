import { utf8 } from '@nebula/core'
import type { Report } from '@nebula/runtime'
import { runPipeline } from '@nebula/runtime'
import { MemoryTarget } from '../../memory/memory-destination.ts'
import { tortureTypes } from '../../values/torture-values.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectRows } from '../expect-rows.ts'
import { expectThat } from '../expect-that.ts'
import { keptLetters } from '../kept-letters.ts'
import { needsDestination, needsSource } from '../needs.ts'
import type { Place } from '../place.ts'
import type { Subject } from '../subject.ts'
import type { Table } from '../table.ts'
import { rowsAt } from '../table-rows.ts'
import { field } from '../tables.ts'
import { reading, rowsOf, write, writeAll } from '../transfer.ts'

const ROWS = 20
/** In three batches of seven: two in one of them, the last row, and none in between. */
const BAD = [2, 4, 19]
const IDS = Array.from({ length: ROWS }, (_, row) => String(row))
const BATCHES = { performance: { batchSize: 7 } }

/** Rows that cannot arrive: which they are, and what becomes of the others. */
export const deadLetterChecks: readonly Check[] = [
  {
    group: 'dead letters',
    name: 'keeps rows that do not fit their types, and reads the others',
    exempt: needsSource,
    run: async (place) => {
      const { declared } = await unreadable(place)
      const target = new MemoryTarget()
      const stream = { maxErrors: BAD.length }
      const report = await runPipeline(await reading(place, [declared], { target }, { stream }))
      expectRows(rowsAt(place.subject, target, declared), declared.rows, 'The other rows')
      await expectLetters(report, (letter) => /\brow-(\d+)\b/.exec(JSON.stringify(letter))?.[1])
    },
  },
  {
    group: 'dead letters',
    name: 'stops reading at more rows that do not fit than are allowed, and says where the first one lies',
    exempt: needsSource,
    run: async (place) => {
      const { declared } = await unreadable(place)
      for (const maxErrors of [0, BAD.length - 1]) {
        const target = new MemoryTarget()
        const report = await runPipeline(await reading(place, [declared], { target }, { stream: { maxErrors } }))
        expectFailed(report)
        expectRows(target.rows(declared.name), [], 'The target of a stream that failed')
      }
    },
  },
  {
    group: 'dead letters',
    name: 'names the rows that the destination refuses, and writes the others',
    exempt: needsRefusal,
    run: async (place) => {
      const table = refused(place.subject)
      const source = { streams: [{ ...table, cut: 10 }] }
      const report = await write(place, source, { memory: BATCHES, stream: { maxErrors: BAD.length } })
      const good = table.rows.filter((_, row) => !BAD.includes(row))
      expectRows(await rowsOf(place, table), good, 'The other rows')
      await expectLetters(report, ({ values }) => String(values?.['id']))
    },
  },
  {
    group: 'dead letters',
    name: 'leaves the target as it was when more rows are refused than are allowed',
    exempt: needsRefusal,
    run: async (place) => {
      const table = refused(place.subject)
      const before = { ...table, rows: table.rows.slice(0, BAD[0]) }
      await writeAll(place, [before])
      for (const maxErrors of [0, BAD.length - 1]) {
        const report = await write(place, { streams: [table] }, { memory: BATCHES, stream: { maxErrors } })
        const named = expectFailed(report)
        const row = BAD[maxErrors]
        expectThat(named === `${table.name}:${row}`, `Row ${row} is one too many, and ${named} was named.`)
        expectRows(await rowsOf(place, before), before.rows, 'The target of a stream that failed')
      }
      expectDone(await write(place, { streams: [before] }))
    },
  },
]

/** A stream of texts of which some are no numbers, as `declared` says that they are. */
async function unreadable(place: Place): Promise<{ declared: Table }> {
  const name = 'unreadable'
  const rows = IDS.map((id, row) => [`row-${id}`, BAD.includes(row) ? 'none' : id])
  await place.create({ name, fields: [field('name', utf8), field('number', utf8)], rows })
  const fields = [field('name', utf8), field('number', { kind: 'int64' })]
  return { declared: { name, fields, rows: rows.filter((_, row) => !BAD.includes(row)) } }
}

function refusal({ refuses }: Subject): Pick<Table, 'fields'> & { readonly text: string; readonly other: string } {
  for (const { type, values } of tortureTypes) {
    const text = values.find((value) => refuses?.(type, value.text) === true)?.text
    const other = values.find((value) => refuses?.(type, value.text) !== true)?.text
    if (text !== undefined && other !== undefined)
      return { fields: [field('id', { kind: 'int32' }), field('value', type)], text, other }
  }
  throw new Error('`refuses` is true of no value, or of every value, of each type.')
}

function needsRefusal(subject: Subject): string | undefined {
  return needsDestination(subject) ?? (subject.refuses ? undefined : 'it refuses no row, for `refuses` is left out')
}

/** Rows of which the destination refuses some. */
function refused(subject: Subject): Table {
  const { fields, text, other } = refusal(subject)
  return { name: 'refused', fields, rows: IDS.map((id, row) => [id, BAD.includes(row) ? text : other]) }
}

/** The rows that are kept are the bad ones, each once, with a place and a reason; and all rows are accounted for. */
async function expectLetters(
  report: Report,
  rowOf: (letter: Awaited<ReturnType<typeof keptLetters>>[number]) => string | undefined,
): Promise<void> {
  const [stream] = report.streams
  expectThat(report.status === 'partial', `A run with rows that were kept ended as ${report.status}.`)
  const { read, written, rejected } = stream ?? { read: 0, written: 0, rejected: 0 }
  const account = `${read} rows read, ${written} written, ${rejected} rejected`
  expectThat(read === ROWS && written === ROWS - BAD.length && rejected === BAD.length, account)
  const letters = await keptLetters(report)
  const rows = letters.map((letter) => [rowOf(letter) ?? JSON.stringify(letter)])
  expectRows(
    rows,
    BAD.map((row) => [String(row)]),
    'Rows that were kept',
  )
  const silent = letters.find(({ place, reason }) => place === '' || reason === '')
  expectThat(silent === undefined, 'A row is kept without a place or a reason.')
}

/** The place that a failed run names. */
function expectFailed({ status, streams }: Report): string {
  const error = streams[0]?.error
  expectThat(status === 'failed', `A run with too many bad rows ended as ${status}.`)
  expectThat(error?.code === 'row_rejected', `A run with too many bad rows failed as ${error?.code}.`)
  const { place = '' } = error
  expectThat(place !== '' && error.message.includes(place), 'The row is not named.')
  return place
}
