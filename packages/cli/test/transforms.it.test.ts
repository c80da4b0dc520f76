import { createHmac } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Report } from '@nebula/runtime'
import { loadPipeline, runPipeline } from '@nebula/runtime'
import { createDatabase, query } from '@nebula/testkit'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-transforms-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const KEY = 'a key that nobody knows'

/** Runs a pipeline file of this text; every row that was read is accounted for. */
async function run(text: string, environment: Record<string, string>): Promise<Report> {
  const file = join(folder, 'shop.yaml')
  await writeFile(file, text)
  const report = await runPipeline(await loadPipeline(file, { environment: { ...environment, MASK_KEY: KEY } }))
  for (const { read, written, filtered, rejected } of report.streams) expect(read).toBe(written + filtered + rejected)
  return report
}

async function put(name: string, content: string): Promise<void> {
  await mkdir(join(folder, 'in'), { recursive: true })
  await writeFile(join(folder, name), content)
}

/** Everything below the state folder and the output, as one text: where a secret must not be. */
async function leftBehind(): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile() && !/^(shop\.yaml|people\.csv|.*\.ts)$/.test(entry.name))
  return (await Promise.all(files.map((entry) => readFile(join(entry.parentPath, entry.name), 'utf8')))).join('\n')
}

const PEOPLE = `id,email,name,country,card
1,ann@x.org,Ann,CH,4111111111111111
2,bob@y.org,Bob,DE,4222222222222222
3,,Carl,CH,123
4,broken,Dora,CH,4333333333333333
5,eve@z.org,Eve,,
`

describe('CSV -> PostgreSQL', () => {
  test('a stream is filtered, passes a function, is masked, renamed and added to', async () => {
    await put('in/people.csv', PEOPLE)
    await put(
      'people.ts',
      `interface Row { readonly email: string | null }
       export default {
         columns: { domain: 'text' },
         reads: ['email'],
         record({ email }: Row): { domain: string } | null {
           if (email === null) return null
           const at = email.indexOf('@')
           if (at < 0) throw new Error('no address')
           return { domain: email.slice(at + 1) }
         },
       }`,
    )
    const TARGET = await createDatabase({ url: inject('postgres')['18'] })
    const report = await run(
      `source: { connector: csv, path: ./in }
destination: { connector: postgres, url: "\${TARGET}" }
streams:
  people:
    where: country = 'CH' and id < 10
    transform: ./people.ts
    exclude: [country]
    mask: { email: { hmac: "\${MASK_KEY}" }, card: partial, name: redact }
    rename: { name: who }
    add: { place: "@place", source: "@stream", part: "@partition", run: "@run_id", loaded_at: "@extracted_at", n: 7, at: "@@" }
    max_errors: 1
`,
      { TARGET },
    )
    expect(report.streams).toMatchObject([{ status: 'done', read: 5, written: 1, filtered: 3, rejected: 1 }])
    const rows = await query(TARGET, 'SELECT * FROM people')
    const email = createHmac('sha256', KEY).update('ann@x.org').digest('hex')
    expect(rows).toEqual([
      {
        id: '1',
        email,
        who: '***',
        card: '************1111',
        domain: 'x.org',
        place: expect.stringMatching(/people\.csv line 2$/) as unknown,
        source: 'people',
        part: expect.stringContaining('people') as unknown,
        run: report.run,
        loaded_at: expect.any(Date) as unknown,
        n: '7',
        at: '@',
      },
    ])
    const loaded = Number(rows[0]?.['loaded_at'])
    expect(loaded).toBeGreaterThanOrEqual(new Date(report.startedAt).getTime())
    expect(loaded).toBeLessThanOrEqual(Date.now())
    const left = await leftBehind()
    expect(left).toContain('the transform says: no address')
    expect(left).toContain('************3333')
    for (const secret of [KEY, 'ann@x.org', '4333333333333333', 'Dora']) expect(left).not.toContain(secret)
    const stored = JSON.stringify(await query(TARGET, 'SELECT * FROM nebula_checkpoints'))
    expect(stored).not.toContain(KEY)
  })

  test('a column that only where needs is read and dropped', async () => {
    await put('in/people.csv', PEOPLE)
    const TARGET = await createDatabase({ url: inject('postgres')['14'] })
    const report = await run(
      `source: { connector: csv, path: ./in }
destination: { connector: postgres, url: "\${TARGET}" }
streams: { people: { where: "country is null or not country in ('CH')", columns: [id] } }
`,
      { TARGET },
    )
    expect(report.streams).toMatchObject([{ read: 5, written: 2, filtered: 3 }])
    expect(await query(TARGET, 'SELECT * FROM people ORDER BY 1')).toEqual([{ id: '2' }, { id: '5' }])
  })
})

const SEED = `CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE people (id int4 PRIMARY KEY, email varchar(40), mood mood, price numeric(10,2), at timestamptz NOT NULL, note tsvector);
INSERT INTO people SELECT g, 'p' || g || '@x.org', CASE g % 3 WHEN 0 THEN 'sad'::mood WHEN 1 THEN 'ok' END, g / 4.0,
  '2024-01-01 00:00+00'::timestamptz + g * interval '1 day', to_tsvector('simple', 'word' || g) FROM generate_series(1, 1000) g`

describe.each(['14', '18'] as const)('PostgreSQL %s', (version) => {
  const ends = async (): Promise<{ SOURCE: string; TARGET: string }> => {
    const url = inject('postgres')[version]
    const SOURCE = await createDatabase({ url })
    await query(SOURCE, SEED)
    return { SOURCE, TARGET: await createDatabase({ url }) }
  }

  test('-> PostgreSQL: the source leaves rows out, and the others pass through as wire rows', async () => {
    const urls = await ends()
    const report = await run(
      `source: { connector: postgres, url: "\${SOURCE}" }
destination: { connector: postgres, url: "\${TARGET}" }
streams:
  public.people: { where: "mood = 'ok' and price between 10 and 20.00 and at < '2024-03-20'", exclude: [mood] }
`,
      urls,
    )
    const wanted = `SELECT id, email, price, at, note FROM people
      WHERE mood = 'ok' AND price BETWEEN 10 AND 20 AND at < '2024-03-20Z' ORDER BY 1`
    const rows = await query(urls.SOURCE, wanted)
    expect(rows.length).toBeGreaterThan(5)
    expect(report.streams).toMatchObject([{ read: rows.length, written: rows.length, filtered: 0 }])
    expect(await query(urls.TARGET, 'SELECT * FROM people ORDER BY 1')).toEqual(rows)
    const [stored] = await query(
      urls.TARGET,
      `SELECT content::text AS run FROM nebula_checkpoints WHERE content::text LIKE '%accepted%'`,
    )
    expect(JSON.stringify(stored)).toContain('wire')
  })

  test('-> PostgreSQL: a filter of its own language, and limit counts what is wanted', async () => {
    const urls = await ends()
    await run(
      `source: { connector: postgres, url: "\${SOURCE}" }
destination: { connector: postgres, url: "\${TARGET}" }
streams:
  public.people: { native_filter: "note @@ to_tsquery('simple', 'word7 | word8 | word9') -- three", where: id > 7, limit: 1, columns: [id] }
`,
      urls,
    )
    expect(await query(urls.TARGET, 'SELECT * FROM people')).toEqual([{ id: 8 }])
  })

  test('-> PostgreSQL: columns that a function does not make keep their types', async () => {
    const urls = await ends()
    await put(
      'code.js',
      `export default {
         columns: { cents: 'int64' },
         record: (row) => row.mood === 'sad' ? { cents: row.price } : null,
       }`,
    )
    const report = await run(
      `source: { connector: postgres, url: "\${SOURCE}" }
destination: { connector: postgres, url: "\${TARGET}" }
streams: { public.people: { transform: ./code.js, mask: { email: sha256 } } }
`,
      urls,
    )
    expect(report.streams).toMatchObject([{ read: 1000, written: 333, filtered: 667 }])
    const types = `SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
      WHERE attrelid = 'people'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`
    expect((await query(urls.TARGET, types)).map(({ attname, type }) => `${String(attname)} ${String(type)}`)).toEqual([
      'id integer',
      'email text',
      'mood mood',
      'price numeric(10,2)',
      'at timestamp with time zone',
      'note tsvector',
      'cents bigint',
    ])
    const kept = 'SELECT id, mood, price, at, note, (price * 100)::bigint AS cents FROM people'
    expect(await query(urls.TARGET, 'SELECT id, mood, price, at, note, cents FROM people ORDER BY 1')).toEqual(
      await query(urls.SOURCE, `${kept} WHERE mood = 'sad' ORDER BY 1`),
    )
  })

  test('-> CSV: what is left, in names of its own', async () => {
    const urls = await ends()
    await run(
      `source: { connector: postgres, url: "\${SOURCE}" }
destination: { connector: csv, path: ./out }
streams:
  public.people:
    target: people
    where: id in (3, 999) or (id < 3 and not mood = 'sad')
    columns: [id, mood, email]
    mask: { email: partial }
    rename: { mood: feeling }
    add: { country: CH }
`,
      urls,
    )
    expect(await readFile(join(folder, 'out', 'people.csv'), 'utf8')).toBe(
      'id,feeling,email,country\n1,ok,****.org,CH\n3,sad,****.org,CH\n999,sad,******.org,CH\n',
    )
  })
})

describe('what cannot be done is told before anything is written', () => {
  test.each([
    [
      'where: nmae = 1',
      'column_not_found',
      'where names a column "nmae" that the stream does not have; did you mean name?',
    ],
    [
      'where: id = ann',
      'config_invalid',
      "streams.people.where: line 1, column 6 of the condition: a column is compared with a literal; write 'ann'",
    ],
    ["where: id = 'ann'", 'config_invalid', "column id is int64, and 'ann' is no such value"],
    ["native_filter: 'id > 1'", 'config_invalid', 'the source takes no native_filter; use where'],
    ['where: id > 1, limit: 5', 'config_invalid', 'limit counts the rows that where wants only at a source'],
    ['add: { id: 7 }', 'config_invalid', 'two columns would be called "id" at the destination'],
    ['add: { who: "@whoami" }', 'config_invalid', 'streams.people.add.who: add.who: there is no @whoami'],
    ['mask: { email: { hmac: "" } }', 'config_invalid', 'the key is empty'],
    ['transform: ./nowhere.ts', 'file_not_found', 'nowhere.ts, cannot be read'],
    ['transform: ./broken.ts', 'transform_invalid', 'broken.ts cannot be loaded'],
    ['transform: ./nothing.ts', 'transform_invalid', 'nothing.ts has no default export'],
    ['transform: ./reads.ts', 'column_not_found', 'reads of the transform names a column "emial"'],
  ])('%s', async (stream, code, message) => {
    await put('in/people.csv', PEOPLE)
    await put('broken.ts', 'export default {')
    await put('nothing.ts', 'export const record = () => null')
    await put('reads.ts', `export default { reads: ['emial'], record: () => null }`)
    const text = `source: { connector: csv, path: ./in }\ndestination: { connector: csv, path: ./out }\nstreams: { people: { ${stream} } }\n`
    await expect(run(text, {})).rejects.toMatchObject({ code, message: expect.stringContaining(message) as string })
    expect(await readdir(folder)).not.toContain('out')
  })

  test('a function that returns what it does not declare fails its stream, and the target is as it was', async () => {
    await put('in/people.csv', PEOPLE)
    await put('code.ts', `export default { columns: { a: 'text' }, record: () => ({ b: 1 }) }`)
    const report = await run(
      `source: { connector: csv, path: ./in }\ndestination: { connector: csv, path: ./out }\nstreams: { people: { transform: ./code.ts } }\n`,
      {},
    )
    expect(report).toMatchObject({ exitCode: 4, streams: [{ status: 'failed', error: { code: 'transform_failed' } }] })
    expect(await readdir(join(folder, 'out'))).not.toContain('people.csv')
  })
})
