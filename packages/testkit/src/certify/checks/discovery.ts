import { isDeepStrictEqual } from 'node:util'
import type { Catalog, Field } from '@nebula/core'
import { BaseConfig, utf8 } from '@nebula/core'
import type { Endpoint } from '@nebula/runtime'
import { memoryConnector } from '../../memory/memory-connector.ts'
import type { Row } from '../../memory/memory-connector.ts'
import { memoryDestination, MemoryTarget } from '../../memory/memory-destination.ts'
import { memorySource } from '../../memory/memory-source.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectFailure } from '../expect-failure.ts'
import { expectRows } from '../expect-rows.ts'
import { NAMES } from '../names.ts'
import { noDestination, noSource } from '../needs.ts'
import type { Place } from '../place.ts'
import { sampleTable } from '../sample-table.ts'
import type { Table } from '../table.ts'
import { rowsAt } from '../table-rows.ts'

async function discover(place: Place): Promise<Catalog> {
  const driver = place.source()
  try {
    await driver.open?.(place.context())
    return await driver.discover(place.context(), [])
  } finally {
    await driver.close?.()
  }
}

const VALUE: readonly Field[] = [{ name: 'value', type: utf8, nullable: false }]

/** A stream that says by its row which one it is. */
function named(name: string): Table {
  return { name, fields: VALUE, rows: [[`row of ${name.replaceAll('\0', '\\0')}`]] }
}

/** The names among those of the list that the destination keeps, no two of them for the same target. */
async function keptNames(place: Place): Promise<readonly string[]> {
  if (!place.subject.connector.destination) return NAMES
  const driver = place.destination()
  try {
    await driver.open?.(place.context())
    const requests = NAMES.map((target) => ({ target, mode: 'overwrite' as const }))
    const answers = await driver.check?.(requests, place.context())
    const sound = NAMES.filter((_, i) => (answers?.[i]?.problems ?? []).length === 0)
    const byIdentity = new Map(sound.map((name) => [answers?.[NAMES.indexOf(name)]?.identity ?? name, name]))
    return [...byIdentity.values()]
  } finally {
    await driver.close?.()
  }
}

async function writeAll(place: Place, tables: readonly Table[]): Promise<void> {
  const connector = memoryConnector('memory', { source: () => memorySource({ streams: [...tables] }) })
  const from: Endpoint = { connector, config: BaseConfig.parse({}) }
  const streams = Object.fromEntries(tables.map(({ name }) => [name, { mode: 'overwrite' as const }]))
  expectDone(await place.run(from, place.endpoint(), streams))
}

/** Reads tables in one run, and compares their rows. */
async function readAll(place: Place, tables: readonly Table[]): Promise<void> {
  const target = new MemoryTarget()
  const connector = memoryConnector('memory', { destination: () => memoryDestination({ target }) })
  const streams = Object.fromEntries(tables.map(({ name }) => [place.streamOf(name), { mode: 'overwrite' as const }]))
  const to: Endpoint = { connector, config: BaseConfig.parse({}) }
  expectDone(await place.run(place.endpoint(), to, streams))
  for (const table of tables) expectNamed(table, rowsAt(place.subject, target, table, place.streamOf(table.name)))
}

/** What a source tells of what it has. */
export const discoveryChecks: readonly Check[] = [
  {
    group: 'discovery',
    name: 'tells of its streams in JSON, each once',
    exempt: noSource,
    run: async (place) => {
      await place.create(sampleTable('first', 3))
      await place.create(sampleTable('second', 3))
      const catalog = await discover(place)
      if (!isDeepStrictEqual(JSON.parse(JSON.stringify(catalog)), catalog)) throw new Error('The catalog is not JSON.')
      const names = catalog.streams.map(({ name }) => name)
      for (const name of [place.streamOf('first'), place.streamOf('second')]) {
        const times = names.filter((other) => other === name).length
        if (times !== 1) throw new Error(`The stream ${name} is told of ${times} times.`)
      }
      for (const { name, schema } of catalog.streams) {
        const columns = schema.fields.map((field) => field.name)
        if (new Set(columns).size < columns.length) throw new Error(`Columns of ${name} have the same name.`)
      }
    },
  },
  {
    group: 'discovery',
    name: 'keeps targets of any name apart, or refuses the name',
    exempt: noDestination,
    run: async (place) => {
      const kept = await keptNames(place)
      if (!kept.includes('plain')) throw new Error('The target plain is refused.')
      const tables = kept.map(named)
      await writeAll(place, tables)
      const { contents } = place.subject
      if (contents) for (const table of tables) expectNamed(table, await contents(place.keys, table))
      else await readAll(place, tables)
      for (const name of NAMES.filter((other) => !kept.includes(other))) {
        const codes = ['target_incompatible', 'config_invalid', 'unsupported', 'target_collision'] as const
        const twin = kept.find((other) => other.toLowerCase() === name.toLowerCase())
        if (twin === undefined) await expectFailure(() => place.write(named(name)), `Writing to ${name}`, codes)
      }
    },
  },
  {
    group: 'discovery',
    name: 'finds streams of any name, and reads them under it',
    exempt: noSource,
    run: async (place) => {
      const tables = (await keptNames(place)).map(named)
      if (place.subject.create) for (const table of tables) await place.create(table)
      else await writeAll(place, tables)
      const { streams } = await discover(place)
      const found = new Set(streams.map(({ name }) => name))
      const lost = tables.filter(({ name }) => !found.has(place.streamOf(name)))
      if (lost.length > 0)
        throw new Error(`Not discovered: ${lost.map(({ name }) => JSON.stringify(name)).join(', ')}.`)
      await readAll(place, tables)
    },
  },
  {
    group: 'discovery',
    name: 'keeps columns of any name, or refuses the name',
    exempt: noSource,
    run: async (place) => {
      const fields = (await keptColumns(place)).map((name): Field => ({ name, type: utf8, nullable: false }))
      const table: Table = { name: 'columns', fields, rows: [fields.map(({ name }) => `value of ${name}`)] }
      await place.create(table)
      const { streams } = await discover(place)
      const info = streams.find(({ name }) => name === place.streamOf('columns'))
      const found = info?.schema.fields.map(({ name }) => name) ?? []
      const lost = fields.filter(({ name }) => !found.includes(name)).map(({ name }) => JSON.stringify(name))
      if (lost.length > 0) throw new Error(`Columns that are not discovered: ${lost.join(', ')}.`)
      const { report, rows } = await place.read(table, { stream: { columns: fields.map(({ name }) => name) } })
      expectDone(report)
      expectRows(rows, table.rows)
    },
  },
  {
    group: 'discovery',
    name: 'tells of keys and comments',
    exempt: ({ connector, create, lacks = [] }) => {
      if (!connector.source) return 'it is no source'
      if (!create) return 'its streams have neither, or the suite is not told how to make them'
      return lacks.includes('keys') && lacks.includes('comments') ? 'its streams have neither' : undefined
    },
    run: async (place) => {
      const comment = 'what it\'s "for"; 50 %'
      const { fields, ...sample } = sampleTable('commented', 2)
      const table = { ...sample, fields: fields.map((field, i) => (i === 1 ? { ...field, comment } : field)) }
      const key = ['name', 'id']
      await place.create({ ...table, key })
      const { streams } = await discover(place)
      const info = streams.find(({ name }) => name === place.streamOf('commented'))
      const lacks = place.subject.lacks ?? []
      if (!lacks.includes('keys') && !isDeepStrictEqual(info?.key, key))
        throw new Error(`The key is ${info?.key.join(', ') ?? 'not discovered'} instead of ${key.join(', ')}.`)
      if (!lacks.includes('comments') && info?.schema.fields[1]?.comment !== comment)
        throw new Error('The comment of a column is not what it was made with.')
    },
  },
  {
    group: 'discovery',
    name: 'says which stream is the nearest to one that is not there',
    exempt: noSource,
    run: async (place) => {
      await place.create(sampleTable('customers', 1))
      const near = place.streamOf('customers')
      const error = await expectFailure(
        () => place.read(sampleTable('custumers', 0)),
        'Reading a stream that is not there',
        ['stream_not_found'],
      )
      if (!error.message.includes(near)) throw new Error(`The error does not name ${near}: ${error.message}`)
    },
  },
]

function expectNamed(table: Table, rows: readonly Row[]): void {
  try {
    expectRows(rows, table.rows)
  } catch (error) {
    throw new Error(`${JSON.stringify(table.name)}: ${(error as Error).message}`, { cause: error })
  }
}

/** The names of the list that columns may have. */
async function keptColumns(place: Place): Promise<readonly string[]> {
  if (!place.subject.connector.destination) return NAMES.filter((name) => name !== '')
  const schema = { fields: NAMES.map((name): Field => ({ name, type: utf8, nullable: false })) }
  const request = { stream: 'columns', mode: 'overwrite' as const, columns: NAMES, key: [] }
  const problems = (await place.openDestination()).accept?.(request, schema, []).problems ?? []
  return NAMES.filter((name) => !problems.some(({ column }) => column === name))
}
