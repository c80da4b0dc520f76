import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Report } from '@nebula/runtime'
import { loadPipeline, runPipeline } from '@nebula/runtime'
import { createDatabase, query } from '@nebula/testkit'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-routes-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function run(pipeline: object, environment: Record<string, string>): Promise<Report> {
  const name = createHash('sha256')
    .update(JSON.stringify([pipeline, environment]))
    .digest('hex')
    .slice(0, 12)
  const file = join(folder, `${name}.yaml`)
  await writeFile(file, JSON.stringify(pipeline))
  const report = await runPipeline(await loadPipeline(file, { environment }))
  expect(report.streams.flatMap(({ error }) => error ?? [])).toEqual([])
  for (const { read, written, rejected } of report.streams) expect(read).toBe(written + rejected)
  return report
}

/** The rows of a table in binary, in the order of its first column: equal bytes, equal values. */
async function binary(url: string, table: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const digest = createHash('sha256')
    const rows = client.query(copyTo(`COPY (SELECT * FROM ${table} ORDER BY 1) TO STDOUT (FORMAT binary)`))
    for await (const chunk of rows) digest.update(chunk as Buffer)
    return digest.digest('hex')
  } finally {
    await client.end()
  }
}

/** One column per type that Nebula models, and some that it does not; every row an extreme of each, the last all null. */
const COLUMNS: readonly (readonly [type: string, ...values: string[]])[] = [
  ['smallint', '-32768', '32767', '0'],
  ['integer', '-2147483648', '2147483647', '0'],
  ['bigint', '-9223372036854775808', '9223372036854775807', '9007199254740993'],
  ['real', '-3.4028235e38', '1.1754944e-38', '-0', 'NaN', 'Infinity', '-Infinity', '1e-45', '123456.79'],
  [
    'double precision',
    '-1.7976931348623157e308',
    '5e-324',
    '-0',
    'NaN',
    'Infinity',
    '-Infinity',
    '0.1',
    '1e15',
    '123456789012345.6',
  ],
  ['numeric(15,2)', '-9999999999999.99', '0.00', '0.01', 'NaN', '-0.10', '12345.60'],
  ['numeric(38,10)', '-9999999999999999999999999999.9999999999', '0.0000000001', '170141183460469231731687303.7'],
  [
    'numeric',
    '1e-1000',
    '1.50',
    'NaN',
    '-12345678901234567890123456789012345678901234567890.000',
    '0',
    '0.000',
    '1e131071',
  ],
  ['numeric(50,20)', '-123456789012345678901234567890.12345678901234567890', '0'],
  ['text', '', 'a,b', 'say "no"', 'line\nbreak\r\n', '\\.', '\\N', ' blanks ', '☃ 𝄞 \u0001\u007f', "quote '"],
  ['varchar(10)', '', 'ten chars!', 'ü'],
  ['char(5)', '', 'ab', 'abcde'],
  ['bytea', '\\x', '\\x00ff5c6e', '\\x0a0d2c22'],
  ['boolean', 'true', 'false'],
  ['date', '4713-01-01 BC', '5874897-12-31', 'infinity', '-infinity', '1969-12-31', '1582-10-10', '2000-02-29'],
  ['time', '00:00:00', '24:00:00', '23:59:59.999999', '12:00:00.5'],
  [
    'timestamp',
    '4713-01-01 00:00:00 BC',
    '294276-12-31 23:59:59.999999',
    'infinity',
    '-infinity',
    '1969-12-31 23:59:59.999999',
    '2024-02-29 12:00:00.120000',
  ],
  [
    'timestamptz',
    '4713-01-02 00:00:00+00 BC',
    '294276-12-31 23:59:59.999999+00',
    'infinity',
    '-infinity',
    '2024-02-29 12:00:00.5+05:30',
  ],
  [
    'uuid',
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '123e4567-e89b-12d3-a456-426614174000',
  ],
  ['json', '{"a": 1.0,  "a": 2}', 'null', '"\\u0000"', '[12345678901234567890]'],
  ['jsonb', '{"a": 12345678901234567890.10}', 'null', '[]', '"☃"'],
  [
    'interval',
    '1 year -2 months 3 days -04:05:06.789',
    '0',
    '178000000 years',
    '-178000000 years',
    '-00:00:00.000001',
    '1 mon 30 days',
  ],
  ['integer[]', '{}', '{1,NULL,-3}', '[2:3][0:1]={{1,2},{3,4}}'],
  ['text[]', '{}', '{"a,b","",NULL,"NULL","\\"q\\""}'],
  ['numeric(10,2)[]', '{1.50,NaN,NULL}'],
  ['timestamptz[]', '{infinity,"2024-02-29 12:00:00+00"}'],
  ['tsvector', "'a':1A 'b'", ''],
  ['tsquery', "'a' & !'b'", ''],
  ['int4range', 'empty', '[1,5)', '(,)'],
  ['inet', '192.168.1.1/24', '::1'],
  ['bit varying', '', '10101'],
  ['money', '-92233720368547758.08', '0.01'],
  ['timetz', '24:00:00-15:59:59', '12:00:00.5+05:30'],
  ['point', '(1.5,-0)', '(NaN,Infinity)'],
]

const columnName = (index: number): string => `c${index + 1}`

/** With a tsquery, whose empty value cannot be received in binary, a table travels as text; without, in binary. */
const TABLES = { as_text: COLUMNS, as_binary: COLUMNS.filter(([type]) => type !== 'tsquery') }

function definitionOf(columns: typeof COLUMNS): string {
  return ['id integer', ...columns.map(([type], i) => `${columnName(i)} ${type}`)].join(', ')
}

async function fill(url: string, table: string, columns: typeof COLUMNS): Promise<void> {
  const rows = Math.max(...columns.map(([, ...values]) => values.length))
  const values = Array.from({ length: rows + 1 }, (_, row) => [
    String(row),
    ...columns.map(([, ...all]) => (row === rows ? undefined : all[row % all.length])),
  ])
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`CREATE TABLE ${table} (${definitionOf(columns)}); SET bytea_output = hex; SET lc_monetary = 'C'`)
  const stream = client.query(copyFrom(`COPY ${table} FROM STDIN (FORMAT csv)`))
  const quoted = (value: string | undefined): string => (value === undefined ? '' : `"${value.replaceAll('"', '""')}"`)
  stream.end(values.map((row) => row.map(quoted).join(',')).join('\n'))
  await new Promise((resolve, reject) => stream.once('finish', resolve).once('error', reject))
  await client.end()
}

describe.each([
  ['14', 'as_text'],
  ['14', 'as_binary'],
  ['18', 'as_text'],
  ['18', 'as_binary'],
] as const)('values, PostgreSQL %s, %s', (version, kind) => {
  const environment: Record<string, string> = {}
  const out = (): string => join(folder, `out-${version}-${kind}`)
  const definition = definitionOf(TABLES[kind])

  beforeAll(async () => {
    const url = inject('postgres')[version]
    environment['SOURCE'] = await createDatabase({ url })
    environment['TARGET'] = await createDatabase({ url })
    await fill(environment['SOURCE'], 'extremes', TABLES[kind])
  })

  const source = { connector: 'postgres', url: '${SOURCE}' }
  const target = { connector: 'postgres', url: '${TARGET}' }

  test('PostgreSQL -> PostgreSQL by wire rows keeps every byte', async () => {
    await run({ source, destination: target, streams: { 'public.extremes': { target: 'by_wire' } } }, environment)
    expect(await binary(environment['TARGET'] ?? '', 'by_wire')).toBe(
      await binary(environment['SOURCE'] ?? '', 'extremes'),
    )
  })

  test('PostgreSQL -> PostgreSQL by columns keeps every byte', async () => {
    // Where most columns are changed, all of them are decoded and encoded.
    const numbers = Array.from({ length: TABLES[kind].length + 1 }, (_, i) => `n${i}`)
    const numbered = numbers.map((name) => `id AS ${name}`).join(', ')
    await query(environment['SOURCE'] ?? '', `CREATE TABLE wide AS SELECT *, ${numbered} FROM extremes`)
    const stream = { target: 'by_columns', cast: Object.fromEntries(numbers.map((name) => [name, 'int64'])) }
    await run({ source, destination: target, streams: { 'public.wide': stream } }, environment)
    const columns = ['id', ...TABLES[kind].map((_, i) => columnName(i))].join(', ')
    expect(await binary(environment['TARGET'] ?? '', `(SELECT ${columns} FROM by_columns) t`)).toBe(
      await binary(environment['SOURCE'] ?? '', 'extremes'),
    )
  })

  test('PostgreSQL -> PostgreSQL with one column changed keeps every byte of the others', async () => {
    const stream = { target: 'patched', cast: { id: 'int64' } }
    await run({ source, destination: target, streams: { 'public.extremes': stream } }, environment)
    const columns = ['id::integer', ...TABLES[kind].map((_, i) => columnName(i))].join(', ')
    expect(await binary(environment['TARGET'] ?? '', `(SELECT ${columns} FROM patched) t`)).toBe(
      await binary(environment['SOURCE'] ?? '', 'extremes'),
    )
  })

  test('PostgreSQL -> CSV -> PostgreSQL keeps every byte', async () => {
    const csv = { connector: 'csv', path: out() }
    await run({ source, destination: csv, streams: { 'public.extremes': { target: 'there' } } }, environment)
    await query(environment['TARGET'] ?? '', `CREATE TABLE there (${definition})`)
    await run({ source: csv, destination: target, streams: { there: { mode: 'append' } } }, environment)
    expect(await binary(environment['TARGET'] ?? '', 'there')).toBe(
      await binary(environment['SOURCE'] ?? '', 'extremes'),
    )
  })

  test('what PostgreSQL writes as CSV and what columns give are the same bytes', async () => {
    const csv = { connector: 'csv', path: out() }
    await run({ source, destination: csv, streams: { 'public.extremes': { target: 'wire' } } }, environment)
    const stream = { target: 'columns', cast: { id: 'int64' } }
    await run({ source, destination: csv, streams: { 'public.extremes': stream } }, environment)
    expect(await readFile(join(out(), 'columns.csv'), 'utf8')).toBe(await readFile(join(out(), 'wire.csv'), 'utf8'))
  })
})

describe('partitions', () => {
  test('one, two and eight workers write the same bytes', async () => {
    const database = await createDatabase({ url: inject('postgres')['18'] })
    await query(
      database,
      `CREATE TABLE numbers AS SELECT i AS id, 'value "' || i || E'"\\n' || repeat('y', i % 50) AS text FROM generate_series(1, 20000) i`,
    )
    const advanced = { partition_bytes: '20kB' }
    const digests = new Set<string>()
    for (const parallel of [1, 2, 8]) {
      const first = join(folder, `first-${parallel}`)
      const second = join(folder, `second-${parallel}`)
      const source = { connector: 'postgres', url: '${SOURCE}', advanced }
      const environment = { SOURCE: database }
      const streams = { 'public.numbers': { target: 'numbers' } }
      const report = await run(
        { parallel, source, destination: { connector: 'csv', path: first }, streams },
        environment,
      )
      expect(report.rows).toBe(20_000)
      const again = { connector: 'csv', path: first, advanced }
      await run(
        {
          parallel,
          source: again,
          destination: { connector: 'csv', path: second },
          streams: { numbers: { types: { id: 'int32' } } },
        },
        environment,
      )
      for (const path of [first, second])
        digests.add(
          createHash('sha256')
            .update(await readFile(join(path, 'numbers.csv')))
            .digest('hex'),
        )
    }
    expect(digests.size).toBe(1)
  })
})

describe('targets that hold rows of others', () => {
  test('are refused until overwrite is written out, also after an append', async () => {
    const database = await createDatabase({ url: inject('postgres')['18'] })
    await query(database, `CREATE TABLE people (id integer); INSERT INTO people VALUES (1)`)
    const path = join(folder, 'people.csv')
    await writeFile(path, 'id\n2\n')
    const source = { connector: 'csv', path }
    const destination = { connector: 'postgres', url: '${TARGET}' }
    const environment = { TARGET: database }
    await expect(run({ source, destination }, environment)).rejects.toMatchObject({ code: 'target_not_ours' })
    await run({ source, destination, streams: { people: { mode: 'append' } } }, environment)
    await expect(run({ source, destination }, environment)).rejects.toMatchObject({ code: 'target_not_ours' })
    expect(await query(database, 'SELECT id FROM people ORDER BY 1')).toEqual([{ id: 1 }, { id: 2 }])
    await run({ source, destination, streams: { people: { mode: 'overwrite' } } }, environment)
    await run({ source, destination }, environment)
    expect(await query(database, 'SELECT id FROM people')).toEqual([{ id: 2 }])
  })
})

describe('keys', () => {
  test('of the source become the primary key of a new table, under their new names', async () => {
    const url = inject('postgres')['18']
    const environment = { SOURCE: await createDatabase({ url }), TARGET: await createDatabase({ url }) }
    await query(
      environment.SOURCE,
      'CREATE TABLE people (id integer, region integer, name text, PRIMARY KEY (region, id))',
    )
    const source = { connector: 'postgres', url: '${SOURCE}' }
    const destination = { connector: 'postgres', url: '${TARGET}' }
    await run({ source, destination, streams: { 'public.people': { rename: { id: 'number' } } } }, environment)
    const key = `SELECT pg_get_constraintdef(oid) AS key FROM pg_constraint WHERE conrelid = 'people'::regclass AND contype = 'p'`
    expect(await query(environment.TARGET, key)).toEqual([{ key: 'PRIMARY KEY (region, number)' }])
  })
})

describe('targets that drop rows by themselves', () => {
  test('fail the stream, and stay as they were', async () => {
    const database = await createDatabase({ url: inject('postgres')['18'] })
    await query(
      database,
      `CREATE TABLE people (id integer); INSERT INTO people VALUES (1);
       CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW; END';
       CREATE TRIGGER skip BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION skip()`,
    )
    const path = join(folder, 'dropped', 'people.csv')
    await mkdir(join(folder, 'dropped'))
    await writeFile(path, 'id\n2\n3\n')
    const file = join(folder, 'dropped.yaml')
    const destination = { connector: 'postgres', url: database }
    await writeFile(
      file,
      JSON.stringify({ source: { connector: 'csv', path }, destination, defaults: { mode: 'append' } }),
    )
    const report = await runPipeline(await loadPipeline(file))
    expect(report).toMatchObject({ exitCode: 4, streams: [{ error: { code: 'counts_differ' } }] })
    expect(await query(database, 'SELECT id FROM people')).toEqual([{ id: 1 }])
  })
})
