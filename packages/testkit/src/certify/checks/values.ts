import type { LogicalType } from '@nebula/core'
import { isNebulaError, typeName, utf8 } from '@nebula/core'
import type { Report } from '@nebula/runtime'
import type { Row } from '../../memory/memory-connector.ts'
import type { TortureType } from '../../values/torture-values.ts'
import { tortureTypes } from '../../values/torture-values.ts'
import { acceptanceOf } from '../acceptance.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectRows } from '../expect-rows.ts'
import { expectThat } from '../expect-that.ts'
import { jsonValue } from '../json-value.ts'
import { keptLetters } from '../kept-letters.ts'
import { needsDestination } from '../needs.ts'
import type { Place } from '../place.ts'
import type { Table } from '../table.ts'
import { field } from '../tables.ts'
import { readAll, write, writeAll } from '../transfer.ts'

const ID = field('id', { kind: 'int32' })
/** Rows of generated values. */
const GENERATED_ROWS = 60

/** A table with the values of one type: a number, and the value. */
interface ValueTable extends Table {
  readonly type: LogicalType
  readonly fidelity: 'exact' | 'widened' | 'lossy'
}

/** Values that arrive as they were, or of which it is said that they do not. */
export const valueChecks: readonly Check[] = [
  {
    group: 'values',
    name: 'keeps every value of the torture set, or names the row that it refuses',
    exempt: needsDestination,
    run: async (place) => {
      const tables = await valueTables(place)
      expectThat(tables.length > 0, 'No type of the torture set is accepted.')
      const report = await write(place, { streams: tables }, { stream: { maxErrors: 1000, allowLoss: lossy(tables) } })
      const refused = await refusedRows(place, tables, report)
      const rows = await readAll(place, tables)
      for (const table of tables) {
        const arriving = table.rows.filter(([id]) => !refused.has(`${table.name} ${id}`))
        const found = rows(table.name)
        if (table.fidelity === 'lossy') expectRows(found.map(idOf), arriving.map(idOf), typeName(table.type))
        else await expectSame(place, table, found, arriving)
        if (table.fidelity === 'exact' && place.subject.contents)
          expectRows(await place.contents(table), arriving, `${typeName(table.type)}, by the system's own means`)
      }
    },
  },
  {
    group: 'values',
    name: 'keeps one row of every type, and null in each of them',
    exempt: needsDestination,
    run: async (place) => {
      const types = await exactTypes(place, tortureTypes)
      const most = Math.max(...types.map(({ values }) => values.length))
      const taken = types.map(({ type, values }) => values.filter(({ text }) => isTaken(place, type, text)))
      const texts = (row: number): Row => taken.map((list) => list[row % list.length]?.text ?? null)
      const nulls = types.map((_, column) => texts(0).map((text, i) => (i === column ? null : text)))
      const empty = types.map(() => null)
      const fields = types.map(({ type }, i) => field(`c${i}`, type))
      const rows = [...Array.from({ length: most }, (_, row) => texts(row)), ...nulls, empty]
      await writeAndRead(place, { name: 'types', fields, rows })
    },
  },
  {
    group: 'values',
    name: 'keeps generated values of every type',
    exempt: needsDestination,
    run: async (place) => {
      const seed = Number(process.env['NEBULA_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
      const { generatedColumns } = await import('../../values/generated-texts.ts')
      const columns = await exactTypes(place, generatedColumns(GENERATED_ROWS, seed))
      const texts = columns.map(({ type, texts: all }) => {
        return all.map((text) => (text !== null && isTaken(place, type, text) ? text : null))
      })
      const rows = Array.from({ length: GENERATED_ROWS }, (_, row) => texts.map((column) => column[row] ?? null))
      const fields = columns.map(({ type }, i) => field(`c${i}`, type))
      try {
        await writeAndRead(place, { name: 'generated', fields, rows })
      } catch (error) {
        throw new Error(`With NEBULA_SEED=${seed}: ${String(error)}`, { cause: error })
      }
    },
  },
  {
    group: 'values',
    name: 'says what a column loses, before anything is written',
    exempt: needsDestination,
    run: async (place) => {
      for (const table of await valueTables(place)) {
        if (table.fidelity !== 'lossy') continue
        const why = (await acceptanceOf(place, table)).columns[1]?.why ?? ''
        const outcome = await write(place, { streams: [table] }).catch((error: unknown) => error)
        const named = isNebulaError(outcome, 'loss_refused') && outcome.message.includes('value')
        expectThat(named && why !== '', `${typeName(table.type)} loses something, and it is not said what.`)
      }
    },
  },
  {
    group: 'values',
    name: 'claims no column for values that only another system understands',
    exempt: needsDestination,
    run: async (place) => {
      const strange: LogicalType = { kind: 'native', vendor: 'nobody', type: 'thing' }
      const table: Table = { name: 'strange', fields: [ID, field('thing', strange)], rows: [] }
      const { problems, columns } = await acceptanceOf(place, table)
      expectThat(
        problems.length > 0 || columns[1]?.as.kind !== 'native',
        'Values of a system that nobody knows are accepted as they are.',
      )
      const outcome = await write(place, { streams: [table] }).catch((error: unknown) => error)
      expectThat(isNebulaError(outcome) && outcome.message.includes('thing'), 'The column is not named.')
      // As text everybody has it.
      const offered = {
        ...table,
        name: 'offered',
        fields: [ID, { ...field('thing', strange), offers: [strange, utf8] }],
      }
      await writeAll(place, [{ ...offered, rows: [['1', 'text of it']] }])
      const asText = { ...offered, fields: [ID, field('thing', utf8)] }
      expectRows((await readAll(place, [asText]))('offered'), [['1', 'text of it']], 'Offered as text')
    },
  },
]

/** The tables of all types that the destination accepts. */
async function valueTables(place: Place): Promise<ValueTable[]> {
  return (await Promise.all(tortureTypes.map((hard, i) => valueTable(place, hard, i)))).flat()
}

/** The table of a type, if the destination accepts it, with a row of null behind the values. */
async function valueTable(place: Place, { type, values }: TortureType, index: number): Promise<ValueTable[]> {
  const name = `values_${index}`
  const fields = [ID, field('value', type)]
  const { problems, columns } = await acceptanceOf(place, { name, fields })
  if (problems.length > 0) return []
  const sent = values.filter(({ text }) => !place.subject.spares?.(type, text))
  const texts = [...sent.map(({ text }) => text), null]
  const fidelity = columns[1]?.fidelity ?? 'exact'
  return [{ name, fields, type, fidelity, rows: texts.map((text, row) => [String(row), text]) }]
}

/** Those types that are accepted, and of which nothing is lost. */
async function exactTypes<Typed extends { readonly type: LogicalType }>(
  place: Place,
  all: readonly Typed[],
): Promise<Typed[]> {
  const tables = await Promise.all(all.map(({ type }) => valueTable(place, { type, values: [] }, 0)))
  return all.filter((_, i) => (tables[i]?.[0]?.fidelity ?? 'lossy') !== 'lossy')
}

function lossy(tables: readonly ValueTable[]): string[] {
  return tables.some(({ fidelity }) => fidelity === 'lossy') ? ['value'] : []
}

function isRefused({ subject }: Place, type: LogicalType, text: string): boolean {
  return subject.refuses?.(type, text) ?? false
}

function isTaken(place: Place, type: LogicalType, text: string): boolean {
  return !isRefused(place, type, text) && !place.subject.spares?.(type, text)
}

/** `TABLE ID` of the rows that were kept as dead letters: those that the subject says, and no others. */
async function refusedRows(place: Place, tables: readonly ValueTable[], report: Report): Promise<Set<string>> {
  const failed = report.streams.find(({ error }) => error)
  expectThat(failed === undefined, `${failed?.stream} failed: ${failed?.error?.message}`)
  const letters = await keptLetters(report)
  const refused = letters.map(({ stream, values }): Row => [stream, String(values?.['id'])])
  const told = tables.flatMap(({ name, type, rows }) =>
    rows.flatMap(([id = null, text = null]): Row[] => {
      return text !== null && isRefused(place, type, text) ? [[name, id]] : []
    }),
  )
  expectRows(refused, told, 'Rows that the destination refused, and those of which `refuses` says it')
  return new Set(refused.map(([name, id]) => `${name} ${id}`))
}

const idOf = ([id]: Row): Row => [id ?? null]

async function writeAndRead(place: Place, table: Table): Promise<void> {
  expectDone(await writeAll(place, [table]))
  const rows = await readAll(place, [table])
  await expectSame(place, table, rows(table.name), table.rows)
}

/** Column by column, so that the one that differs is named. JSON that is not kept as a text is the same where its value is. */
async function expectSame(
  place: Place,
  table: Pick<Table, 'name' | 'fields'>,
  found: readonly Row[],
  wanted: readonly Row[],
): Promise<void> {
  const { columns } = await acceptanceOf(place, table)
  const isValue = table.fields.map(({ type }, i) => type.kind === 'json' && columns[i]?.fidelity !== 'exact')
  const compared = (rows: readonly Row[]): Row[] =>
    rows.map((row) => row.map((text, i) => (text !== null && isValue[i] ? jsonValue(text) : text)))
  const [left, right] = [compared(found), compared(wanted)]
  for (const [i, { name, type }] of table.fields.entries()) {
    const values = (rows: readonly Row[]): Row[] => rows.map((row) => [row[i] ?? null])
    expectRows(values(left), values(right), `${table.name}.${name}, ${typeName(type)}, ${columns[i]?.fidelity}`)
  }
  expectRows(left, right, table.name)
}
