import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createDatabase, query } from '@nebula/testkit'
import { beforeAll, expect, inject, test } from 'vitest'
import { useFolder } from './harness.ts'
import { runNebula } from './nebula.ts'

const folder = useFolder()
let url = ''

beforeAll(async () => {
  url = await createDatabase({ url: inject('postgres')['18'] })
  await query(
    url,
    `CREATE TABLE narrow AS SELECT i AS id, i % 1000 AS n, 'note ' || i AS note, (i % 1000 / 8.0)::numeric(12,4) AS amount
       FROM generate_series(1, 1000000) i;
     CREATE TABLE wide AS SELECT i AS id, repeat(chr(96 + i % 26 + 1), 1000000) AS doc FROM generate_series(1, 80) i`,
  )
}, 60_000)

const DATABASE = { connector: 'postgres', url: '${MEMORY_URL}' }
const files = (path: string): object => ({ connector: 'csv', path: `./${path}` })

interface Outcome {
  readonly peak: number | undefined
  readonly rows: number | undefined
  readonly code: number | null
  readonly said: string
}

async function run(name: string, pipeline: object, limit: string): Promise<Outcome> {
  await writeFile(join(folder(), `${name}.json`), JSON.stringify({ parallel: 2, ...pipeline }))
  const args = ['run', `${name}.json`, '--max-memory', limit]
  const { report, code } = await runNebula({ args, cwd: folder(), env: { MEMORY_URL: url } })
  const error = (report as unknown as { error?: { message: string } } | undefined)?.error
  return { peak: report?.peakMemoryBytes, rows: report?.rows, code, said: error?.message ?? '' }
}

/** A little over the least limit that is not refused, which depends on what a process needs to begin with. */
async function lowLimit(pipeline: object): Promise<number> {
  const { code, said } = await run('least', pipeline, '1MB')
  expect(code).toBe(2)
  const [, least] = /^memory\.max_memory is 1MB; this run needs (\d+)MB at least\.$/.exec(said) ?? []
  return Number(least) * 1_000_000 * 1.1
}

test.each([
  ['narrow', 1_000_000],
  ['wide', 80],
])(
  'a run of %s rows keeps below its limit, both ways',
  async (table, rows) => {
    const out = { source: DATABASE, destination: files('out'), streams: { [`public.${table}`]: { target: table } } }
    const limit = await lowLimit(out)
    // A refusal leaves nothing behind that a run would have to go on with.
    expect(await readdir(folder())).toEqual(expect.not.arrayContaining(['out']))
    const exported = await run('export', out, String(Math.ceil(limit)))
    expect(exported).toMatchObject({ code: 0, rows })
    expect(exported.peak).toBeLessThan(limit * 1.1)

    const back = { source: files('out'), destination: DATABASE, streams: { [table]: { target: `back_${table}` } } }
    const high = await lowLimit(back)
    const imported = await run('import', back, String(Math.ceil(high)))
    expect(imported).toMatchObject({ code: 0, rows })
    expect(imported.peak).toBeLessThan(high * 1.1)
  },
  120_000,
)
