import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckResult, StreamChange, StreamPreview } from '@nebula/inspect'
import { createDatabase, query } from '@nebula/testkit'
import { beforeEach, describe, expect, inject, test } from 'vitest'
import type { Printed } from './harness.ts'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
let url = ''

beforeEach(async () => {
  url = await createDatabase({ url: inject('postgres')['18'] })
  process.env['ENDS_URL'] = url
  await query(
    url,
    `CREATE TABLE users (id bigint PRIMARY KEY, name text, price numeric(20,2), flags bit(3), at timestamptz);
     INSERT INTO users SELECT i, CASE WHEN i % 2 = 1 THEN 'user ' || i END, i / 4.0, B'101', '2024-01-01 12:00:00.123456Z'
       FROM generate_series(9007199254740993, 9007199254740993 + 999) i;
     CREATE SCHEMA other; CREATE TABLE other.lines (id integer)`,
  )
})

/** Writes a file of the folder and runs a verb on it. */
async function on(text: string, verb: string, ...args: string[]): Promise<Printed> {
  await writeFile(at('file.yaml'), text)
  return nebula(verb, at('file.yaml'), ...args)
}

const SOURCE = 'type: source\nconnector: postgres\nurl: ${ENDS_URL}\n'
const PIPELINE = `source: { connector: postgres, url: "\${ENDS_URL}" }
destination: { connector: csv, path: ./out }
`

describe('nebula check', () => {
  test('connects to the connector of a file, and says what answers', async () => {
    const { code, stdout } = await on(SOURCE, 'check', '--json')
    const { ends } = JSON.parse(stdout) as CheckResult
    expect(code).toBe(0)
    expect(ends).toEqual([
      {
        role: 'source',
        connector: 'postgres',
        reachable: true,
        version: expect.stringMatching(/^PostgreSQL 18\.\d+$/),
        latencyMs: expect.any(Number),
        streams: 2,
        denied: [],
        problems: [],
      },
    ])
    expect((await on(SOURCE, 'check')).stdout).toMatch(
      /^source postgres: ok, PostgreSQL 18\.\d+, answers in .* ms, 2 streams/,
    )
  })

  test('checks both ends of a pipeline, and does not stop at the first', async () => {
    const { code, stdout } = await on(
      'source: { connector: postgres, url: "postgres://nobody@localhost:1/x", reliability: { max_retries: 0 } }\ndestination: { connector: csv, path: ./file.yaml/out }\n',
      'check',
      '--json',
    )
    const { ends } = JSON.parse(stdout) as CheckResult
    expect(code).toBe(3)
    expect(
      ends.map(({ role, reachable, problems }) => [role, reachable, problems.map((problem) => problem.code)]),
    ).toEqual([
      ['source', false, ['connection_failed']],
      ['destination', true, []],
    ])
  })

  test('tells a privilege that the user lacks', async () => {
    const role = `r${new URL(url).pathname.slice(-10)}`
    await query(url, `CREATE ROLE ${role} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA public TO ${role}`)
    const limited = new URL(url)
    limited.username = role
    limited.password = 'x'
    process.env['ENDS_URL'] = limited.href
    const source = await on(`${SOURCE}table_name: users\n`, 'check')
    expect([source.code, source.stdout]).toEqual([3, expect.stringContaining('The user may not read public.users.')])
    const target = await on(SOURCE.replace('source', 'destination') + 'table_name: users\n', 'check')
    expect([target.code, target.stdout]).toEqual([
      3,
      expect.stringContaining('The user lacks CREATE on schema public.'),
    ])
    expect(target.stdout).toContain('The user lacks INSERT on public.users.')
    await query(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
  })
})

describe("a connector's file", () => {
  test('discover and preview take it, and table_name means one stream', async () => {
    const whole = await on(SOURCE, 'discover')
    expect(whole.stdout).toContain('other.lines (1 column,')
    const one = await on(`${SOURCE}table_name: users\n`, 'discover')
    expect(one.stdout).toMatch(/^public\.users \(5 columns/)
    expect(one.stdout).not.toContain('other.lines')
    const rows = await on(`${SOURCE}table_name: users\n`, 'preview', '--json', '--rows', '2')
    expect((JSON.parse(rows.stdout) as StreamPreview[]).map(({ stream }) => stream)).toEqual(['public.users'])
    const none = await on(`${SOURCE}table_name: usres\n`, 'preview')
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('did you mean')])
  })

  test('of a destination cannot be read', async () => {
    const { code, stderr } = await on(SOURCE.replace('source', 'destination'), 'preview')
    expect([code, stderr]).toEqual([2, expect.stringContaining('The file is of a destination')])
  })
})

describe('nebula preview', () => {
  test('gives every value exactly, and reads no more than it shows', async () => {
    const { code, stdout } = await nebula(
      'preview',
      '--from',
      '${ENDS_URL}',
      '--streams',
      'public.users',
      '--rows',
      '2',
      '--json',
    )
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual([
      {
        stream: 'public.users',
        columns: [
          { name: 'id', type: 'int64' },
          { name: 'name', type: 'utf8' },
          { name: 'price', type: 'decimal(20,2)' },
          { name: 'flags', type: 'utf8' },
          { name: 'at', type: 'timestamptz' },
        ],
        rows: [
          ['9007199254740993', 'user 9007199254740993', '2251799813685248.25', '101', '2024-01-01 12:00:00.123456+00'],
          ['9007199254740994', null, '2251799813685248.50', '101', '2024-01-01 12:00:00.123456+00'],
        ],
        rejected: 0,
      },
    ])
    const [reads] = (await query(
      url,
      `SELECT pg_stat_force_next_flush(), coalesce(sum(seq_tup_read), 0)::int AS rows FROM pg_stat_user_tables WHERE relname = 'users'`,
    )) as unknown as { rows: number }[]
    expect(reads?.rows).toBeLessThan(1000)
  })

  test('shows rows as a run would deliver them, and writes nothing', async () => {
    const { code, stdout } = await on(
      `${PIPELINE}streams: { public.users: { columns: [name, id], mask: { name: sha256 }, rename: { id: number }, limit: 1 } }\n`,
      'preview',
    )
    expect(code).toBe(0)
    expect(stdout).toMatch(/^public\.users \(1 row\)\nname +number\nutf8 +int64\n[0-9a-f]{39}… +9007199254740993\n$/)
    expect(await readdir(folder())).toEqual(['file.yaml'])
  })

  test('shows the rows of files that can be read, and says how many cannot', async () => {
    await mkdir(at('in'))
    await writeFile(at('in', 'a.csv'), 'id,text\n1,\n2,""\nx,bad\n')
    const { code, stdout } = await on(
      'source: { connector: csv, path: ./in }\ndestination: { connector: csv, path: ./out }\nstreams: { a: { types: { id: int64 } } }\n',
      'preview',
    )
    expect([code, stdout]).toEqual([0, 'a (2 rows, 1 row cannot be read)\nid     text\nint64  utf8\n1      ∅\n2\n'])
  })

  test('of a condition that the source does not apply, it shows the first rows that are wanted', async () => {
    await mkdir(at('in'))
    await writeFile(at('in', 'a.csv'), `id\n${Array.from({ length: 50_000 }, (_, i) => i).join('\n')}\n`)
    const { code, stdout } = await on(
      'source: { connector: csv, path: ./in }\ndestination: { connector: csv, path: ./out }\nstreams: { a: { where: "id > 20000" } }\n',
      'preview',
      '--rows',
      '2',
    )
    expect([code, stdout]).toEqual([0, 'a (2 rows)\nid\nint64\n20001\n20002\n'])
  })

  test('an error of the source is an error of the preview', async () => {
    await query(url, 'CREATE VIEW broken AS SELECT 1 / 0 AS x')
    const { code, stderr } = await nebula('preview', '--from', '${ENDS_URL}', '--streams', 'public.broken')
    expect([code, stderr]).toEqual([4, expect.stringContaining('error row_rejected (public.broken): division by zero')])
  })
})

describe('nebula discover --diff', () => {
  test('says what changed since the last run, stream by stream', async () => {
    const pipeline = `${PIPELINE}streams: { "public.*": {}, "other.*": {} }\n`
    expect((await on(pipeline, 'discover', '--diff')).stdout).toBe(
      'no run of this pipeline has recorded its streams yet\n',
    )
    expect((await on(pipeline, 'run', '--quiet')).code).toBe(0)
    expect((await on(pipeline, 'discover', '--diff')).stdout).toBe('nothing changed since the last run\n')
    await query(
      url,
      `ALTER TABLE users DROP COLUMN flags; ALTER TABLE users ADD note text; ALTER TABLE users ALTER name SET DATA TYPE varchar(50);
       UPDATE users SET note = 'x'; ALTER TABLE users ALTER note SET NOT NULL; ALTER TABLE users DROP CONSTRAINT users_pkey;
       CREATE TABLE more (id integer); DROP TABLE other.lines`,
    )
    const text = await on(`${PIPELINE}streams: { "public.*": {} }\n`, 'discover', '--diff')
    expect(text.stdout).toBe(`public.more added
public.users changed
  removed flags bit(3)
  type name: text -> character varying(50)
  added note text
  key: id -> none
other.lines removed
`)
    const { stdout } = await on(`${PIPELINE}streams: { "public.*": {} }\n`, 'discover', '--diff', '--json')
    expect((JSON.parse(stdout) as StreamChange[]).map(({ stream, change }) => [stream, change])).toEqual([
      ['public.more', 'added'],
      ['public.users', 'changed'],
      ['other.lines', 'removed'],
    ])
    // A run of some streams leaves the record of the others as it was.
    expect(
      (await on(`${PIPELINE}streams: { "public.*": {} }\n`, 'run', '--quiet', '--streams', 'public.more')).code,
    ).toBe(0)
    const after = await on(`${PIPELINE}streams: { "public.*": {} }\n`, 'discover', '--diff')
    expect(after.stdout).toMatch(/^public\.users changed\n/)
    expect(JSON.parse(await readFile(at('.nebula', 'file.schemas.json'), 'utf8'))).toHaveLength(3)
  })

  test('needs the runs of a pipeline', async () => {
    const { code, stderr } = await nebula('discover', '--diff', '--from', '${ENDS_URL}')
    expect([code, stderr]).toEqual([2, expect.stringContaining('takes a pipeline file')])
  })
})
