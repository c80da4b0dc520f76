import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '@nebula/runtime'
import { createDatabase, query } from '@nebula/testkit'
import { beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
let url = ''

beforeAll(async () => {
  url = await createDatabase({ url: inject('postgres')['18'] })
  process.env['MERGE_TARGET'] = url
})

beforeEach(async () => {
  await query(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  await mkdir(at('in'))
})

const POSTGRES = { connector: 'postgres', url: '${MERGE_TARGET}' }

/** The pipeline file of one stream, which is merged. */
async function pipeline(
  lines: readonly string[],
  options: object = {},
  destination: object = POSTGRES,
): Promise<string> {
  await writeFile(at('in', 'people.csv'), lines.map((line) => `${line}\n`).join(''))
  const source = { connector: 'csv', path: './in' }
  const people = { mode: 'merge', key: ['id'], types: { id: 'int64' }, ...options }
  await writeFile(at('shop.json'), JSON.stringify({ source, destination, streams: { people } }))
  return at('shop.json')
}

interface Run {
  readonly code: number
  readonly error: { readonly code: string; readonly message: string } | undefined
}

async function run(...[lines, options, destination]: Parameters<typeof pipeline>): Promise<Run> {
  const { code, stdout } = await nebula('run', await pipeline(lines, options, destination), '--json')
  const report = JSON.parse(stdout) as Report & { error?: Run['error'] }
  return { code, error: report.error ?? report.streams?.[0]?.error }
}

const people = (): Promise<Record<string, unknown>[]> => query(url, 'SELECT * FROM people ORDER BY id')
const DONE = { code: 0, error: undefined }
const ADA = { id: '1', name: 'Ada', city: 'London' }

describe('merging into a table', () => {
  test('that is not there makes it, with the key as its primary key', async () => {
    expect(await run(['id,name', '1,Ada', '2,Bob'])).toEqual(DONE)
    expect(await run(['id,name', '2,Bobby', '3,Eve'])).toEqual(DONE)
    expect(await people()).toEqual([
      { id: '1', name: 'Ada' },
      { id: '2', name: 'Bobby' },
      { id: '3', name: 'Eve' },
    ])
    const keys = `SELECT conname, contype FROM pg_constraint WHERE conrelid = 'people'::regclass AND contype = 'p'`
    expect(await query(url, keys)).toHaveLength(1)
  })

  test('keeps columns that the stream does not have, and takes any unique index without nulls', async () => {
    await query(url, `CREATE TABLE people (a int DEFAULT 7, id bigint NOT NULL, name text, b text UNIQUE)`)
    await query(url, `CREATE UNIQUE INDEX ON people (id) INCLUDE (name); INSERT INTO people VALUES (1, 1, 'Ada', 'x')`)
    expect(await run(['id,name', '1,Lovelace', '2,Bob'])).toEqual(DONE)
    expect(await people()).toEqual([
      { a: 1, id: '1', name: 'Lovelace', b: 'x' },
      { a: 7, id: '2', name: 'Bob', b: null },
    ])
  })

  test('by several columns, in any order, and under other names than the source has', async () => {
    await query(url, `CREATE TABLE people (country text, number bigint, name text, PRIMARY KEY (country, number))`)
    await query(url, `INSERT INTO people VALUES ('uk', 1, 'Ada'), ('us', 1, 'Grace')`)
    const options = { key: ['id', 'land'], rename: { id: 'number', land: 'country' } }
    expect(await run(['id,land,name', '1,us,Hopper', '2,us,Bob'], options)).toEqual(DONE)
    expect(await query(url, 'SELECT * FROM people ORDER BY country, number')).toEqual([
      { country: 'uk', number: '1', name: 'Ada' },
      { country: 'us', number: '1', name: 'Hopper' },
      { country: 'us', number: '2', name: 'Bob' },
    ])
  })

  test('by keys that are equal and not the same brings the key, too', async () => {
    await query(url, `CREATE TABLE people (id numeric PRIMARY KEY, name text); INSERT INTO people VALUES (1.0, 'Ada')`)
    expect(await run(['id,name', '1.00,Bob'], { types: { id: 'numeric' } })).toEqual(DONE)
    expect(await people()).toEqual([{ id: '1.00', name: 'Bob' }])
    await query(url, `DROP TABLE people; CREATE TABLE people (id jsonb PRIMARY KEY); INSERT INTO people VALUES ('1.0')`)
    expect(await run(['id', '1.00'], { types: { id: 'json' } })).toEqual(DONE)
    expect(await query(url, 'SELECT id::text FROM people')).toEqual([{ id: '1.00' }])
  })

  test('into a key that the target counts up itself', async () => {
    const id = 'bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY'
    await query(url, `CREATE TABLE people (id ${id}, name text); INSERT INTO people (name) VALUES ('Ada')`)
    expect(await run(['id,name', '1,Bob', '7,Eve'])).toEqual(DONE)
    expect(await people()).toEqual([
      { id: '1', name: 'Bob' },
      { id: '7', name: 'Eve' },
    ])
  })

  test('that has nothing but the key', async () => {
    expect(await run(['id', '1', '2'])).toEqual(DONE)
    expect(await run(['id', '2', '3'])).toEqual(DONE)
    expect(await people()).toEqual([{ id: '1' }, { id: '2' }, { id: '3' }])
  })

  test.each([
    ['no unique index over the key', 'CREATE UNIQUE INDEX ON people (name)', 'which has none'],
    ['one of which values may be null', 'CREATE UNIQUE INDEX ON people (id)', 'which has none'],
    ['one over some rows', 'CREATE UNIQUE INDEX ON people (id) WHERE id > 5', 'which has none'],
    ['one over more columns', 'ALTER TABLE people ADD PRIMARY KEY (id, name)', 'which has (id, name)'],
    ['one that is judged later', 'ALTER TABLE people ADD PRIMARY KEY (id) DEFERRABLE', 'which has none'],
  ])('that has %s is refused, and the index named', async (_, index, told) => {
    await query(url, `CREATE TABLE people (id bigint, name text); ${index}; INSERT INTO people VALUES (1, 'Ada')`)
    const { code, error } = await run(['id,name', '1,Bob'])
    expect([code, error?.code, error?.message]).toEqual([2, 'target_incompatible', expect.stringContaining(told)])
    expect(await people()).toEqual([{ id: '1', name: 'Ada' }])
  })

  test('needs a key, and all of it', async () => {
    const none = await run(['id,name', '1,Bob'], { key: [] })
    expect(none).toMatchObject({
      code: 2,
      error: { code: 'config_invalid', message: expect.stringContaining('key: [') },
    })
    const half = await run(['id,name', '1,Bob'], { key: ['id', 'name'], exclude: ['name'] })
    expect(half.error).toMatchObject({ code: 'config_invalid', message: expect.stringContaining('(id, name)') })
  })

  test('is not done by two rows of one key: the target stays, and the rows can be mended', async () => {
    await query(url, `CREATE TABLE people (id bigint PRIMARY KEY, name text, city text)`)
    await query(url, `INSERT INTO people VALUES (1, 'Ada', 'London')`)
    const { code, error } = await run(['id,name', '1,Bob', '1,Eve', '2,Joe'])
    expect([code, error?.code, error?.message]).toEqual([4, 'data_invalid', expect.stringContaining('same key (id)')])
    expect(await people()).toEqual([ADA])
    expect(await run(['id,name', '1,Bob', '2,Joe'])).toEqual(DONE)
    expect((await people()).map(({ name }) => name)).toEqual(['Bob', 'Joe'])
  })

  test('keeps a row without a key as a dead letter, which is merged when it is replayed', async () => {
    expect(await run(['id,name', '1,Ada', ',Bob', '3,Eve'], { max_errors: 1 })).toMatchObject({ code: 5 })
    expect(await people()).toEqual([
      { id: '1', name: 'Ada' },
      { id: '3', name: 'Eve' },
    ])
    const file = await pipeline(['id,name', '1,Ada', '3,Bob', '3,Eve'], { max_errors: 1 })
    const { code, stdout } = await nebula('dlq', 'replay', file, '--reread', '--json')
    expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ sent: 1, arrived: 1, failed: [] })])
    expect(await people()).toEqual([
      { id: '1', name: 'Ada' },
      { id: '3', name: 'Bob' },
    ])
  })

  test('is verified: rows that the stream does not have are no fault, others are', async () => {
    await query(url, `CREATE TABLE people (id bigint PRIMARY KEY, name text); INSERT INTO people VALUES (9, 'old')`)
    const lines = ['id,name', '1,Ada', '2,Bob']
    expect(await run(lines)).toEqual(DONE)
    const file = await pipeline(lines)
    expect(await nebula('verify', file)).toMatchObject({ code: 0, stdout: expect.stringContaining('1 other row') })
    await query(url, `UPDATE people SET name = 'x' WHERE id = 2`)
    expect(await nebula('verify', file)).toMatchObject({ code: 4, stdout: expect.stringContaining('1 changed') })
  })
})

test('merging is refused where the destination cannot', async () => {
  const { code, error } = await run(['id,name', '1,Bob'], {}, { connector: 'csv', path: './out' })
  expect([code, error?.code, error?.message]).toEqual([2, 'unsupported', expect.stringContaining('overwrite, append')])
})

test('the one-line form takes a key', async () => {
  await pipeline(['id,name', '1,Ada'])
  const args = [
    'run',
    '--from',
    at('in', 'people.csv'),
    '--to',
    '${MERGE_TARGET}',
    '--mode',
    'merge',
    '--state',
    at('state'),
    '--json',
  ]
  expect(await nebula(...args)).toMatchObject({ code: 2, stdout: expect.stringContaining('--key') })
  expect(await nebula(...args, '--key', 'id')).toMatchObject({ code: 0 })
  expect(await people()).toEqual([{ id: '1', name: 'Ada' }])
})
