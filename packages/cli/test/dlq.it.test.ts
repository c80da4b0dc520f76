import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report, StoredLetter } from '@nebula/runtime'
import { createDatabase, query } from '@nebula/testkit'
import { beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { Printed } from './harness.ts'
import { nebula, useFolder } from './harness.ts'
import { runNebula } from './nebula.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
let url = ''

beforeAll(async () => {
  url = await createDatabase({ url: inject('postgres')['18'] })
  process.env['DLQ_TARGET'] = url
})

beforeEach(async () => {
  await query(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  await mkdir(at('in'))
})

async function pipeline(streams: object): Promise<string> {
  const source = { connector: 'csv', path: './in', advanced: { partition_bytes: 500_000 } }
  const destination = { connector: 'postgres', url: '${DLQ_TARGET}' }
  await writeFile(at('shop.json'), JSON.stringify({ source, destination, parallel: 2, streams }))
  return at('shop.json')
}

const letters = async (file: string): Promise<(StoredLetter & { run: string; file: string })[]> => {
  const { stdout } = await nebula('dlq', 'show', file, '--json')
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as never)))
}

/** Changes the dead letters in their files, as a user would. */
async function edit(file: string, change: (letter: StoredLetter) => object): Promise<void> {
  for (const path of new Set((await letters(file)).map((letter) => letter.file))) {
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
    const changed = lines
      .map((line) => JSON.parse(line) as StoredLetter)
      .map((letter) => ({ ...letter, ...change(letter) }))
    await writeFile(path, changed.map((letter) => `${JSON.stringify(letter)}\n`).join(''))
  }
}

async function rows(table: string): Promise<number> {
  const [row] = await query(url, `SELECT count(*)::int AS n FROM ${table}`)
  return row?.['n'] as number
}

const replayed = ({ stdout }: Printed): Record<string, unknown> => JSON.parse(stdout) as Record<string, unknown>

const ROWS = 100_000
const BAD = { number: 9_999, date: 39_999, ragged: 69_999, nul: 89_999 }
const TYPES = { id: 'int64', amount: 'decimal(12,2)', day: 'date', note: 'text' }

/** Every tenth note has a line end in it, so that lines are not records. */
function record(i: number): string {
  const note = i % 10 === 0 ? `"two\nlines ${i}"` : `note ${i}`
  if (i === BAD.number) return `${i},12.x5,2024-01-01,${note}`
  if (i === BAD.date) return `${i},1.25,2024-02-30,${note}`
  if (i === BAD.ragged) return `${i},1.25,2024-01-01,${note},more`
  if (i === BAD.nul) return `${i},1.25,2024-01-01,nul\0byte`
  return `${i},1.25,2024-01-01,${note}`
}

const lineOf = (i: number): number => i + Math.floor((i - 1) / 10) + 1

describe('a file of 100,000 rows, four of which are bad', () => {
  async function run(): Promise<string> {
    const lines = Array.from({ length: ROWS }, (_, i) => record(i + 1))
    await writeFile(at('in', 'orders.csv'), `id,amount,day,note\n${lines.join('\n')}\n`)
    const file = await pipeline({ orders: { types: TYPES, max_errors: 10 } })
    const { code, stdout } = await nebula('run', file, '--json')
    const report = JSON.parse(stdout) as Report
    expect({ code, error: report.streams[0]?.error }).toEqual({ code: 5, error: undefined })
    expect(report.streams[0]).toMatchObject({ status: 'done', read: ROWS, written: ROWS - 4, filtered: 0, rejected: 4 })
    expect(await rows('orders')).toBe(ROWS - 4)
    return file
  }

  test('the rest arrives; four dead letters say where and why; a replay after a fix brings the four', async () => {
    const file = await run()
    const path = at('in', 'orders.csv')
    const found = (await letters(file)).sort((a, b) => (a.record ?? 0) - (b.record ?? 0))
    expect(found).toMatchObject([
      { stage: 'read', column: 'amount', code: 'value_invalid', path, line: lineOf(BAD.number), record: BAD.number },
      { stage: 'read', column: 'day', code: 'value_invalid', path, line: lineOf(BAD.date), record: BAD.date },
      { stage: 'read', code: 'row_invalid', path, line: lineOf(BAD.ragged), record: BAD.ragged },
      { stage: 'write', column: 'note', code: '22021', path, line: lineOf(BAD.nul), record: BAD.nul },
    ])
    expect(found[0]).toMatchObject({ raw: '9999,12.x5,2024-01-01,note 9999' })
    expect(found[2]).toMatchObject({ reason: '5 fields instead of 4' })
    expect(found[3]).toMatchObject({
      values: { id: '89999', amount: '1.25', day: '2024-01-01', note: 'nul\0byte' },
      partition: expect.stringMatching(/^orders#\d+$/),
    })
    const listed = await nebula('dlq', 'list', file)
    expect(listed.stdout).toMatch(/^run +stream +since +reason +entries\n\w+ +orders +\S+ +.* and 3 others +4$/m)
    const shown = await nebula('dlq', 'show', file, '--limit', '1')
    expect(shown.stdout).toContain(
      `${path} line ${lineOf(BAD.number)}, record ${BAD.number}\n  value_invalid (amount): `,
    )
    expect(shown.stdout).toContain('\nand 3 more\n')

    // Without a fix they stay, with the reason of the new attempt.
    const vain = await nebula('dlq', 'replay', file, '--json')
    expect(vain.code).toBe(5)
    expect(replayed(vain)).toMatchObject({ sent: 4, arrived: 0, held: [] })
    expect(await rows('orders')).toBe(ROWS - 4)
    expect((await letters(file)).map(({ id }) => id).sort()).toEqual(found.map(({ id }) => id).sort())

    // Two are mended, and a third one is mended badly.
    await edit(file, ({ record: number, raw = '', values }) => {
      if (number === BAD.number) return { raw: raw.replace('12.x5', '12.55') }
      if (number === BAD.date) return { raw: raw.replace('02-30', '02-31') }
      if (number === BAD.ragged) return { raw: raw.replace(',more', '') }
      return { values: { ...values, note: 'nul byte' } }
    })
    const half = await nebula('dlq', 'replay', file)
    expect(half.code).toBe(5)
    expect(half.stdout).toContain(`stays: ${path} line ${lineOf(BAD.date)}: "day" is not a valid date\n`)
    expect(half.stdout).toContain('4 rows sent, 3 arrived, 1 stay\n')
    expect(await rows('orders')).toBe(ROWS - 1)

    await edit(file, ({ raw = '' }) => ({ raw: raw.replace('02-31', '02-29') }))
    const last = await nebula('dlq', 'replay', file, '--json')
    expect(last.code).toBe(0)
    expect(replayed(last)).toMatchObject({ sent: 1, arrived: 1, failed: [], held: [] })
    expect(await rows('orders')).toBe(ROWS)
    const [mended] = await query(url, `SELECT amount::text, note FROM orders WHERE id = ${BAD.number}`)
    expect(mended).toEqual({ amount: '12.55', note: 'note 9999' })

    expect((await nebula('dlq', 'list', file)).stdout).toBe('no dead letters\n')
    expect(replayed(await nebula('dlq', 'replay', file, '--json'))).toMatchObject({ sent: 0, arrived: 0 })
    expect(await rows('orders')).toBe(ROWS)
    // Nothing of the replays is left.
    const runs = await query(url, `SELECT DISTINCT pipeline FROM nebula_checkpoints WHERE pipeline <> ''`)
    expect(runs).toEqual([{ pipeline: 'shop' }])
    const tables = await query(url, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'nebula%'`)
    expect(tables.map((row) => row['relname'])).toEqual(['nebula_checkpoints'])
  }, 120_000)

  test('a file that was corrected is read again by the numbers of its records', async () => {
    const file = await run()
    const text = await readFile(at('in', 'orders.csv'), 'utf8')
    const mended = text
      .replace('12.x5', '12.55')
      .replace('2024-02-30', '2024-02-29')
      .replace(',more', '')
      .replace('\0', ' ')
    await writeFile(at('in', 'orders.csv'), mended)
    const result = await nebula('dlq', 'replay', file, '--reread', '--json')
    expect(replayed(result)).toMatchObject({ sent: 4, arrived: 4, failed: [], held: [] })
    expect(result.code).toBe(0)
    expect(await rows('orders')).toBe(ROWS)
  }, 120_000)
})

describe('rows that the destination refused', () => {
  const COUNT = 400

  async function refused(more: object = {}, others: object = {}): Promise<string> {
    const lines = Array.from({ length: COUNT }, (_, i) => `${i},user ${i}@example.com`)
    await writeFile(at('in', 'users.csv'), `id,email\n${lines.join('\n')}\n`)
    await query(url, 'CREATE TABLE users (id bigint CHECK (id % 2 = 0), email text)')
    const file = await pipeline({ users: { mode: 'append', max_errors: COUNT, ...more }, ...others })
    expect((await nebula('run', file, '--json')).code).toBe(5)
    expect(await rows('users')).toBe(COUNT / 2)
    return file
  }

  test('arrive once the target is mended, masked as they were', async () => {
    const file = await refused({ mask: { email: 'sha256' } })
    await query(url, 'ALTER TABLE users DROP CONSTRAINT users_id_check')
    const result = await nebula('dlq', 'replay', file, '--json')
    expect(replayed(result)).toMatchObject({ sent: COUNT / 2, arrived: COUNT / 2, failed: [] })
    const wrong = await query(
      url,
      `SELECT id FROM users WHERE email <> encode(sha256(convert_to('user ' || id || '@example.com', 'UTF8')), 'hex')`,
    )
    expect(wrong).toEqual([])
    expect(await rows('users')).toBe(COUNT)
  })

  test('a replay that is killed at any moment loses nothing and doubles nothing', async () => {
    const file = await refused()
    await query(url, 'ALTER TABLE users DROP CONSTRAINT users_id_check, ADD CHECK (id <> 7)')
    const invocation = { args: ['dlq', 'replay', file], cwd: folder(), env: { DLQ_TARGET: url } }
    let kills = 0
    let outcome = await runNebula(invocation, 300)
    for (let wait = 400; outcome.code === null; wait *= 2) {
      kills++
      outcome = await runNebula(invocation, wait)
    }
    expect(outcome).toMatchObject({ code: 5, stderr: '' })
    console.log(`killed ${kills} times`)
    expect(kills).toBeGreaterThan(0)
    expect(await rows('users')).toBe(COUNT - 1)
    expect(await query(url, 'SELECT id FROM users GROUP BY id HAVING count(*) > 1')).toEqual([])
    expect((await letters(file)).map(({ values }) => values?.['id'])).toEqual(['7'])
  }, 120_000)

  test('are sent though another stream of their run failed', async () => {
    await writeFile(at('in', 'more.csv'), 'id\nx\n')
    const file = await refused({}, { more: { types: { id: 'int64' } } })
    await query(url, 'ALTER TABLE users DROP CONSTRAINT users_id_check')
    expect(replayed(await nebula('dlq', 'replay', file, '--json'))).toMatchObject({ arrived: COUNT / 2, held: [] })
    expect(await rows('users')).toBe(COUNT)
  })

  test('stay where their run is interrupted before their stream is in its target', async () => {
    const file = await refused()
    await query(
      url,
      `UPDATE nebula_checkpoints SET content = jsonb_set(jsonb_set(content::jsonb, '{ended}', 'false'), '{finished}', '[]')::json WHERE part = '' AND pipeline <> ''`,
    )
    const { code, stdout } = await nebula('dlq', 'replay', file, '--json')
    expect(code).toBe(5)
    const { held, sent } = JSON.parse(stdout) as { held: { reason: string }[]; sent: number }
    expect(sent).toBe(0)
    expect(held).toHaveLength(COUNT / 2)
    expect(held[0]?.reason).toBe('its stream is not in its target yet: go on with the run first')
  })

  test('of an earlier run are sent only when it is named', async () => {
    const file = await refused()
    const [first] = await letters(file)
    await query(url, 'ALTER TABLE users DROP CONSTRAINT users_id_check')
    expect((await nebula('run', file)).code).toBe(0)
    const before = await rows('users')
    expect(replayed(await nebula('dlq', 'replay', file, '--json'))).toMatchObject({ sent: 0, others: COUNT / 2 })
    const named = await nebula('dlq', 'replay', file, '--run', first?.run ?? '', '--json')
    expect(replayed(named)).toMatchObject({ sent: COUNT / 2, arrived: COUNT / 2, others: 0 })
    expect(await rows('users')).toBe(before + COUNT / 2)
  })
})

test('a row that a transform could not take arrives once that is mended, and is not masked twice', async () => {
  await writeFile(at('in', 'scores.csv'), 'id,score,email\n1,5,a@b\n2,3000000000,c@d\n')
  const mask = { email: 'sha256' }
  const file = await pipeline({ scores: { types: { score: 'text' }, cast: { score: 'int32' }, mask, max_errors: 1 } })
  expect((await nebula('run', file, '--json')).code).toBe(5)
  const masked = expect.stringMatching(/^[0-9a-f]{64}$/)
  expect(await letters(file)).toMatchObject([
    {
      stage: 'transform',
      record: 2,
      column: 'score',
      values: { score: '3000000000', email: masked },
      masked: ['email'],
    },
  ])
  expect((await nebula('dlq', 'replay', file, '--json')).code).toBe(5)
  await query(url, 'ALTER TABLE scores ALTER score TYPE bigint')
  await pipeline({ scores: { types: { score: 'text' }, cast: { score: 'int64' }, mask, max_errors: 1 } })
  expect(replayed(await nebula('dlq', 'replay', file, '--json'))).toMatchObject({ sent: 1, arrived: 1, failed: [] })
  const wrong = `email <> encode(sha256(CASE id WHEN 1 THEN 'a@b' ELSE 'c@d' END::bytea), 'hex')`
  expect(await query(url, `SELECT id, score FROM scores ORDER BY id`)).toEqual([
    { id: '1', score: '5' },
    { id: '2', score: '3000000000' },
  ])
  expect(await query(url, `SELECT id FROM scores WHERE ${wrong}`)).toEqual([])
})
