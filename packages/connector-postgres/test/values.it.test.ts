import type { Field, StreamPlan } from '@nebula/core'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { Database, Route } from './harness.ts'

const TYPES = [
  `CREATE SCHEMA "odd.schema"`,
  `CREATE TYPE "odd.schema"."Mood ""x""" AS ENUM ('sad', 'it''s ok', 'happy 😀')`,
  `CREATE DOMAIN positive AS int4 DEFAULT 1 CONSTRAINT above CHECK (VALUE > 0)`,
  `CREATE DOMAIN tags AS text[] CHECK (array_length(VALUE, 1) < 5)`,
  `CREATE TYPE pair AS (a int4, "B b" text, m "odd.schema"."Mood ""x""", p positive)`,
  `CREATE TYPE nested AS (p pair, list pair[])`,
  `CREATE DOMAIN moods AS "odd.schema"."Mood ""x"""[]`,
  `CREATE TYPE floatrange AS RANGE (SUBTYPE = float8)`,
  `CREATE EXTENSION hstore`,
  `CREATE EXTENSION citext`,
]

/** Types whose binary form is the same everywhere, and values of each. */
const SAFE: Record<string, string[]> = {
  bool: ['true', 'false'],
  int2: ['-32768', '32767', '0', '-1'],
  int4: ['-2147483648', '2147483647', '0', '-1'],
  int8: ['-9223372036854775808', '9223372036854775807', '0', '-1', '4294967296', '-4294967296', '9007199254740993'],
  float4: ['NaN', 'Infinity', '-Infinity', '-0', '1e-45', '3.4028235e38', '0.1'],
  float8: [
    'NaN',
    'Infinity',
    '-Infinity',
    '-0',
    '5e-324',
    '1.7976931348623157e308',
    '0.1',
    '1e15',
    '123456789.12345678',
  ],
  numeric: [
    'NaN',
    'Infinity',
    '-Infinity',
    '0',
    '-0.000',
    '1.10',
    '1e-16383',
    '1e131071',
    '-123456789012345678901234567890.00001',
    '10000',
    '0.0001',
    '100000000',
  ],
  'numeric(38,0)': [
    '99999999999999999999999999999999999999',
    '-99999999999999999999999999999999999999',
    '0',
    'NaN',
    '1',
    '-4294967296',
    '18446744073709551616',
  ],
  'numeric(38,38)': ['0.99999999999999999999999999999999999999', '-0.00000000000000000000000000000000000001', '0'],
  'numeric(15,2)': [
    '9999999999999.99',
    '-9999999999999.99',
    '0.01',
    '-0.01',
    '0',
    '1.10',
    '9007199254740.93',
    'NaN',
    '10000',
    '-4294967.296',
  ],
  'numeric(5,3)': ['12.345', '-0.001'],
  'numeric(39,0)': ['999999999999999999999999999999999999999'],
  'numeric(1000,500)': ['1e499', '-1e-500'],
  text: [
    '',
    ' ',
    'a\tb\nc\rd\\e',
    '\\N',
    '\\.',
    'NULL',
    '"quoted", and comma',
    "'",
    '😀\u{10ffff}\u0001\u2028\ufeff',
    'x'.repeat(100_000),
  ],
  'varchar(5)': ['', 'abc  ', '😀😀😀😀😀'],
  'char(5)': ['', 'ab', 'abcde', ' x'],
  char: ['a', '', ' '],
  '"char"': ['a', '', '\\'],
  name: ['abc', 'x'.repeat(63)],
  bytea: ['\\x', '\\x00ff5c5c', '\\x0a0d09'],
  date: [
    'infinity',
    '-infinity',
    '4713-01-01 BC',
    '0044-03-15 BC',
    '0001-01-01',
    '1582-10-15',
    '1969-12-31',
    '1970-01-01',
    '2000-01-01',
    '5874897-12-31',
  ],
  time: ['00:00', '24:00:00', '23:59:59.999999', '00:00:00.000001'],
  timetz: ['00:00+15:59', '24:00:00-15:59', '12:34:56.789+05:30'],
  timestamp: [
    'infinity',
    '-infinity',
    '4713-01-01 00:00 BC',
    '0044-03-15 12:00 BC',
    '1969-12-31 23:59:59.999999',
    '1970-01-01',
    '2000-01-01',
    '9999-12-31 23:59:59.999999',
    '294247-01-10 04:00:54.775806',
    '294276-12-31 23:59:59.999999',
  ],
  timestamptz: [
    'infinity',
    '-infinity',
    '4713-01-02 00:00+00 BC',
    '1900-01-01 00:00:00.000001+00',
    '294276-12-31 23:59:59.999999+00',
    '2024-03-31 01:30:00+02',
  ],
  'timestamp(3)': ['2024-01-01 12:34:56.789'],
  interval: [
    '0',
    '1 mon -1 day 00:00:00.000001',
    '-178000000 years',
    '178000000 years',
    '2147483647 days',
    '-2147483648 days',
    '596523:14:07.999999',
    '1 year 2 mons 3 days 04:05:06.789',
  ],
  uuid: [
    '00000000-0000-0000-0000-000000000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '01234567-89ab-cdef-0123-456789abcdef',
  ],
  json: ['null', '{"b":1,"a":1,"a":2}', ' [1.0, 1e400, "\\u0000"] ', '"😀"'],
  jsonb: ['null', '{"b":1,"a":[null,true]}', '12345678901234567890.10', '"\\\\ \\n"', '{}'],
  money: ['-92233720368547758.08', '92233720368547758.07', '0'],
  bit: ['0', '1'],
  'bit(10)': ['0101010101'],
  varbit: ['', '1', '010101010'],
  inet: ['10.0.0.1', '10.0.0.1/8', '::1', '2001:db8::/32'],
  cidr: ['10.0.0.0/8', '::/0', '10.0.0.1/32'],
  macaddr: ['08:00:2b:01:02:03'],
  macaddr8: ['08:00:2b:01:02:03:04:05'],
  point: ['(1.5,-0)', '(NaN,Infinity)'],
  line: ['{1,2,3}'],
  lseg: ['((0,0),(1,1))'],
  box: ['((0,0),(1,1))'],
  path: ['((0,0),(1,1))', '[(0,0),(1,1)]'],
  polygon: ['((0,0),(1,1),(1,0))'],
  circle: ['<(0,0),2>'],
  tsvector: ['', "'a':1A,2B 'it''s':3", "'x'"],
  xid: ['0', '4294967295'],
  xid8: ['18446744073709551615'],
  cid: ['1'],
  oid: ['0', '4294967295'],
  tid: ['(4294967295,65535)'],
  pg_lsn: ['0/0', 'FFFFFFFF/FFFFFFFF'],
  pg_snapshot: ['10:20:10,14,15'],
  xml: [
    '<a>é</a>',
    'content only',
    '<!DOCTYPE a><a/>',
    '<?xml version="1.0" encoding="latin1"?><a>é</a>',
    '<?xml version="1.1" standalone="yes"?><a/>',
    ' ',
  ],
  jsonpath: ['$.a[*] ? (@ > 1)'],
  refcursor: ['abc'],
  'int4[]': ['{}', '{1,NULL,3}', '{{1,2},{3,4}}', '[0:1]={1,2}', '[-2:-1][5:6]={{1,2},{NULL,4}}', '{NULL}'],
  'text[]': ['{}', '{"",NULL,"NULL","a,b","\\"\\\\"}'],
  'numeric(10,2)[]': ['{1.10,NaN}'],
  'timestamptz[]': ['{infinity,"2024-01-01 00:00+00"}'],
  'jsonb[]': ['{"{\\"a\\":1}",null}'],
  'bytea[]': ['{"\\\\x00"}'],
  int4range: ['empty', '(,)', '[1,5)', '[,5)', '[1,)'],
  numrange: ['[1.10,2.200]', 'empty', '(NaN,)'],
  tstzrange: ['["2024-01-01 00:00+00",infinity]', '(,)'],
  int4multirange: ['{}', '{[1,2),[5,)}', '{(,)}'],
  'int4range[]': ['{"[1,2)",empty}'],
  positive: ['1', '2147483647'],
  tags: ['{}', '{a,NULL}', '[5:5]={z}'],
  '"odd.schema"."Mood ""x"""': ['sad', "it's ok", 'happy 😀'],
  floatrange: ['[0.1,NaN]', 'empty'],
  hstore: ['', '"a"=>NULL, "b"=>"", "c d"=>"\\""'],
  citext: ['AbC', ''],
}

/** Types whose binary form holds numbers of objects of their server, or that cannot be read back. */
const UNSAFE: Record<string, string[]> = {
  tsquery: ['', "'a' & !'b':AB <-> 'it''s'"],
  int2vector: ['1 2 3', ''],
  oidvector: ['1 2 3', ''],
  regclass: ['pg_class', '-'],
  regtype: ['integer', 'positive'],
  aclitem: ['=r/postgres'],
  pair: ['(1,"a ""b""\\\\",sad,1)', '(,,,)', '(,"",,)'],
  nested: ['("(1,x,sad,2)","{""(1,,,)"",NULL}")'],
  'pair[]': ['{"(1,a,sad,1)",NULL}', '{}'],
  '"odd.schema"."Mood ""x"""[]': ['{sad,NULL,"it\'s ok"}', '[3:3]={sad}', '{}'],
  moods: ['{sad}', '{}'],
  'positive[]': ['{1,2}'],
  'citext[]': ['{A,b}'],
  'hstore[]': ['{"a=>b"}'],
  int4: ['1'],
  bool: ['true', 'false'],
  bytea: ['\\x00ff'],
  'char(4)': ['a'],
  text: ['', 'a\\b\tc\n', '\\N'],
  interval: ['1 mon 2 days 00:00:00.000003'],
  timestamptz: ['infinity', '0044-03-15 12:00+00 BC'],
  jsonb: ['{"a": "\\\\ \\n"}', 'null'],
  inet: ['10.0.0.1', '10.0.0.0/8'],
}

function tableOf(name: string, types: Record<string, string[]>): string[] {
  const entries = Object.entries(types)
  const rows = Math.max(...entries.map(([, values]) => values.length)) + 1
  const columns = entries.map(([type], i) => `c${i} ${type}`)
  const literal = (text: string | undefined): string =>
    text === undefined ? 'NULL' : `'${text.replaceAll("'", "''")}'`
  const lines = Array.from({ length: rows }, (_, row) => {
    return `(${row}, ${entries.map(([type, values]) => `${literal(values[row])}::${type}`).join(', ')})`
  })
  return [
    `CREATE TABLE ${name} (id int4 PRIMARY KEY, ${columns.join(', ')})`,
    ...lines.map((line) => `INSERT INTO ${name} VALUES ${line}`),
  ]
}

describe.each(['18', '14'] as const)('PostgreSQL %s', (version) => {
  let from: Database
  beforeAll(async () => {
    from = await Database.create(
      inject('postgres')[version],
      `SET lc_monetary = 'C'`,
      ...TYPES,
      ...tableOf('safe', SAFE),
      ...tableOf('unsafe', UNSAFE),
      `CREATE TABLE infinite (id int4 PRIMARY KEY, i interval)`,
      ...(version === '18' ? [`INSERT INTO infinite VALUES (1, 'infinity'), (2, '-infinity')`] : []),
    )
  })
  afterAll(() => from[Symbol.asyncDispose]())

  test.each([
    ['as wire rows', true],
    ['as columns', false],
  ])('keeps every value of binary types %s', async (_, wire) => {
    await using to = await Database.create(inject('postgres')[version])
    await using route = new Route(from.url, to.url)
    const moved = await route.move('public.safe', { wire })
    expect(moved.wire).toBe(wire ? 'postgres/copy-binary' : undefined)
    const query = 'SELECT * FROM safe ORDER BY id'
    const [expected, found] = [await from.copy(query, 'text'), await to.copy(query, 'text')]
    expect(found.split('\n')).toEqual(expected.split('\n'))
    expect(await to.copy(query, 'binary')).toBe(await from.copy(query, 'binary'))
    const shape = `SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
      WHERE attrelid = 'safe'::regclass AND attnum > 0 ORDER BY attnum`
    expect(await to.query(shape)).toEqual(await from.query(shape))
  })

  test('keeps every value where some columns are replaced in wire rows', async () => {
    await using to = await Database.create(inject('postgres')[version])
    await using route = new Route(from.url, to.url)
    const changed = ['integer', 'numeric(15,2)', 'text', 'bytea', 'timestamp without time zone', 'interval', 'jsonb']
    /** As if the runtime had changed them: of no type of the vendor. */
    const shape = (fields: Field[]): Field[] =>
      fields.map((field) => {
        const { name, type, nullable, declared = '' } = field
        return changed.includes(declared) ? { name, type, nullable } : field
      })
    const moved = await route.move('public.safe', { shape })
    const { accepted } = moved.run.streams[0] as StreamPlan
    expect([moved.wire, accepted.replaced?.length]).toEqual(['postgres/copy-binary', changed.length + 1])
    const query = 'SELECT * FROM safe ORDER BY id'
    expect((await to.copy(query, 'text')).split('\n')).toEqual((await from.copy(query, 'text')).split('\n'))
  })

  test.each([
    ['as wire rows', true],
    ['as columns', false],
  ])('keeps every value of types that name objects, as text, %s', async (_, wire) => {
    await using to = await Database.create(inject('postgres')[version])
    await using route = new Route(from.url, to.url)
    const moved = await route.move('public.unsafe', { wire })
    expect(moved.wire).toBe(wire ? 'postgres/copy-text' : undefined)
    const query = 'SELECT * FROM unsafe ORDER BY id'
    expect((await to.copy(query, 'text')).split('\n')).toEqual((await from.copy(query, 'text')).split('\n'))
  })

  test('keeps infinite intervals', async () => {
    await using to = await Database.create(inject('postgres')[version])
    await using route = new Route(from.url, to.url)
    await route.move('public.infinite', { wire: false })
    const query = 'SELECT * FROM infinite ORDER BY id'
    expect(await to.copy(query, 'binary')).toBe(await from.copy(query, 'binary'))
  })

  test('writes into a table of the same types that stands', async () => {
    await using to = await Database.create(inject('postgres')[version])
    await using route = new Route(from.url, to.url)
    await route.move('public.safe', { mode: 'append', target: 'copy', wire: false })
    await to.query('ALTER TABLE copy DROP CONSTRAINT copy_pkey')
    await route.move('public.safe', { mode: 'append', target: 'copy', wire: true })
    expect(await to.count('copy')).toBe(2 * (await from.count('safe')))
    expect(await to.copy(`SELECT DISTINCT md5(c::text) FROM copy c ORDER BY 1`, 'text')).toBe(
      await from.copy(`SELECT md5(c::text) FROM safe c ORDER BY 1`, 'text'),
    )
  })

  test('rejects the two instants that look like infinity, and keeps the rest', async () => {
    await using source = await Database.create(
      inject('postgres')[version],
      `CREATE TABLE t (id int4, at timestamp)`,
      `INSERT INTO t VALUES (1, '2024-01-01'), (2, '294247-01-10 04:00:54.775807'), (3, '294247-01-10 04:00:54.775808'), (4, NULL), (5, 'infinity')`,
    )
    await using to = await Database.create(inject('postgres')[version])
    await using route = new Route(source.url, to.url)
    const columns = await route.move('public.t', { wire: false })
    expect(columns.rejected.map(({ column, place }) => [column, place])).toEqual([
      ['at', 'row 2 of public.t#00000'],
      ['at', 'row 3 of public.t#00000'],
    ])
    expect(await to.query('SELECT id FROM t ORDER BY id')).toEqual([{ id: 1 }, { id: 4 }, { id: 5 }])
    const shape = (fields: Field[]): Field[] =>
      fields.map((field) => (field.name === 'at' ? { name: 'at', type: field.type, nullable: true } : field))
    const patched = await route.move('public.t', { shape, target: 'patched' })
    expect([patched.wire, patched.rejected]).toEqual(['postgres/copy-binary', columns.rejected])
    expect(await to.copy('SELECT * FROM patched', 'binary')).toBe(await to.copy('SELECT * FROM t', 'binary'))
    expect((await route.move('public.t', { wire: true, target: 'whole' })).rejected).toEqual([])
    expect(await to.copy('SELECT * FROM whole', 'binary')).toBe(await source.copy('SELECT * FROM t', 'binary'))
  })
})
