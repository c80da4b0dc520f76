import type { Condition, Field, Literal, Operator, RecordBatch, Schema } from '@nebula/core'
import { bindCondition, BufferPool, parseCondition, utf8 } from '@nebula/core'
import { RowFilter } from '@nebula/transforms'
import fc from 'fast-check'
import { describe, expect, inject, test } from 'vitest'
import { selectRange } from '../src/plan.ts'
import { Database, NOWHERE, Route } from './harness.ts'

const TEXTS =
  `|a|A|ab|ab |abc|b|a%b|a_b|%|_|\\|\\%|é|e\u0301|ß|𝄞|𝄞a|\uffff|\ue000|it's|"q"|\n|\t|\u0001| |☃ x|ABC|${'x'.repeat(200)}`.split(
    '|',
  )
const NUMBERS = '0 1 -1 2 0.5 -0.5 1.50 1.005 0.01 -0.01 99999.99 127 32767 -32768 2147483647 9007199254740993'
  .concat(' 9223372036854775807 -9223372036854775808 123456789012345678901234567890.5 1e-30 1e30')
  .split(' ')
const FLOATS = '0 -0 1 -1 0.1 0.5 1e300 -1e300 5e-324 NaN Infinity -Infinity 123456.79 16777217 3.4e38'.split(' ')
const DATES = '1970-01-01 1969-12-31 2024-02-29 infinity -infinity 9999-12-31 5874897-12-31 0001-01-01'.split(' ')
const MOMENTS =
  '1970-01-01 00:00:00|1969-12-31 23:59:59.999999|2024-02-29 12:00:00.5|infinity|-infinity|294276-12-31 23:59:59.999999|294247-01-10 04:00:54.775806|4713-01-02 00:00:00 BC|294247-01-10 04:00:54.775809'.split(
    '|',
  )
const fitting = (test: (value: number) => boolean): string[] => NUMBERS.filter((text) => test(Number(text)))
const integers = (most: number): string[] => fitting((value) => Number.isInteger(value) && Math.abs(value) <= most)

/** Every column: its type, and values of it. */
const COLUMNS: { readonly [name: string]: readonly [type: string, values: readonly string[]] } = {
  small: ['smallint', integers(32767)],
  plain: ['integer', integers(2 ** 31 - 1)],
  big: ['bigint', integers(2 ** 53).concat('9223372036854775807', '-9223372036854775808')],
  single: ['real', FLOATS.filter((text) => !/e300|324/.test(text))],
  double: ['double precision', FLOATS],
  money: ['numeric(12,2)', ['0.00', '1.50', '-0.01', '0.01', '99999.99', '1.00', 'NaN', '-1.00']],
  exact: ['numeric', NUMBERS.concat('NaN', 'Infinity', '-Infinity', '0.000', '1.500', '-0.0', '1e1000', '-1e-500')],
  word: ['text', TEXTS],
  short: ['varchar(200)', TEXTS],
  padded: ['char(6)', ['', 'ab', 'abc', 'é', 'ab%', 'abcdef']],
  colour: ['mood', ['sad', 'ok', 'happy', 'Ok']],
  flag: ['boolean', ['true', 'false']],
  raw: ['bytea', ['\\x', '\\x00', '\\x00ff', '\\xff', '\\x5c27']],
  day: ['date', DATES],
  clock: ['time', ['00:00:00', '24:00:00', '23:59:59.999999', '12:00:00.5']],
  local: ['timestamp', MOMENTS],
  moment: ['timestamptz', MOMENTS],
  tag: [
    'uuid',
    [
      '00000000-0000-0000-0000-000000000000',
      '80000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      '7fffffff-0000-0000-0000-0000000000ff',
    ],
  ],
}
const NAMES = Object.keys(COLUMNS)
const OPERATORS: readonly Operator[] = ['=', '<>', '<', '<=', '>', '>=']

/** Null one time in five, whatever the column. */
function valueOf(name: string): fc.Arbitrary<string | null> {
  return fc.option(fc.constantFrom(...(COLUMNS[name]?.[1] ?? [])), { freq: 5 })
}

/** Some of them are no values of the column: those are refused, and not compared. */
function literalOf(name: string): fc.Arbitrary<Literal> {
  const [type, values] = COLUMNS[name] ?? ['', []]
  if (type === 'boolean') return fc.boolean().map((value) => ({ kind: 'bool', value }))
  const numbers = /int|numeric|real|double/.test(type)
  const texts = numbers ? fc.constantFrom(...values, ...NUMBERS) : fc.constantFrom(...values)
  return texts.map((text) => ({ kind: numbers && /\d/.test(text) ? 'number' : 'text', text }))
}

const pattern = fc
  .array(fc.constantFrom('%', '_', '\\%', '\\_', '\\\\', 'a', 'b', 'é', '𝄞', 'ab', ' ', 'x'), { maxLength: 5 })
  .map((parts) => parts.join(''))

const leaf: fc.Arbitrary<Condition> = fc.constantFrom(...NAMES).chain((column): fc.Arbitrary<Condition> => {
  const compared = fc
    .tuple(fc.constantFrom(...OPERATORS), literalOf(column))
    .map(([operator, literal]): Condition => ({ kind: 'compare', column, operator, literal }))
  const listed = fc
    .array(literalOf(column), { minLength: 1, maxLength: 3 })
    .map((literals): Condition => ({ kind: 'in', column, literals }))
  const missing = fc.constant<Condition>({ kind: 'null', column })
  const liked = pattern.map((text): Condition => ({ kind: 'like', column, pattern: text }))
  const isText = /text|char|mood/.test(COLUMNS[column]?.[0] ?? '')
  return isText ? fc.oneof(compared, listed, missing, liked) : fc.oneof(compared, compared, listed, missing)
})

const { condition } = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3 },
    { weight: 3, arbitrary: leaf },
    { weight: 1, arbitrary: tie('condition').map((term): Condition => ({ kind: 'not', term })) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(
          fc.constantFrom('and' as const, 'or' as const),
          fc.array(tie('condition'), { minLength: 2, maxLength: 3 }),
        )
        .map(([kind, terms]): Condition => ({ kind, terms })),
    },
  ),
}))

const rows = fc.array(fc.tuple(...NAMES.map(valueOf)), { minLength: 300, maxLength: 300 })

async function tableOf(version: '14' | '18'): Promise<Database> {
  const columns = NAMES.map((name) => `${name} ${COLUMNS[name]?.[0]}`)
  const db = await Database.create(
    inject('postgres')[version],
    `CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'Ok')`,
    `CREATE TABLE t (id int4 PRIMARY KEY, ${columns.join(', ')})`,
  )
  const insert = `INSERT INTO t VALUES ($1, ${NAMES.map((_, i) => `$${i + 2}`).join(', ')})`
  for (const [id, row] of (fc.sample(rows, 1)[0] ?? []).entries()) await db.query(insert, [id, ...row])
  return db
}

/** The columns that somebody looks at, in the types in which that is done. */
function lookedAt({ fields }: Schema): Schema {
  return { fields: fields.map((field): Field => (field.type.kind === 'native' ? { ...field, type: utf8 } : field)) }
}

/** All rows, read as the runtime does where the source applies nothing. */
async function readAll(route: Route, schema: Schema): Promise<RecordBatch[]> {
  const { read } = await route.agree('public.t', { wire: false, target: NOWHERE })
  const stream = { ...read, schema, decode: schema.fields.map((_, index) => index) }
  const plan = await route.source.plan([stream], 1e9, undefined, route.context)
  const [partition] = plan.partitions
  const task = { partition: partition as NonNullable<typeof partition>, stream, snapshot: plan.snapshot as string }
  const limits = { rows: 1e6, bytes: 1e9, delayMs: 1e6 }
  const batches: RecordBatch[] = []
  for await (const batch of route.source.read({ ...task, batch: limits }, route.context)) batches.push(batch)
  return batches
}

const idsOf = (batch: RecordBatch): number[] =>
  Array.from({ length: batch.rows }, (_, row) => batch.record(row).get('id') as number)

describe.each([
  ['18', 400],
  ['14', 100],
] as const)('PostgreSQL %s and the runtime', (version, numRuns) => {
  test('leave out the same rows, whatever the condition', async () => {
    await using db = await tableOf(version)
    await using route = new Route(db.url, db.url)
    const { schema } = await route.info('public.t')
    const batches = await readAll(route, lookedAt(schema))
    expect(batches.flatMap(({ rejected }) => rejected.map(({ reason }) => reason))).toEqual([])
    expect(batches.flatMap(idsOf)).toHaveLength(300)
    const pool = new BufferPool(1e9)
    let compared = 0
    await fc.assert(
      fc.asyncProperty(condition, async (wanted) => {
        const { bound } = bindCondition(wanted, schema)
        fc.pre(bound !== undefined)
        const filter = new RowFilter(bound as NonNullable<typeof bound>, lookedAt(schema), pool)
        const left = batches.flatMap((batch) => idsOf(filter.apply(batch)))
        filter.free()
        const request = {
          stream: 'public.t',
          mode: 'append' as const,
          columns: ['id'],
          key: [],
          where: bound as NonNullable<typeof bound>,
        }
        const fields = schema.fields.slice(0, 1)
        const sql = selectRange(
          { request, schema: { fields }, decode: [0] },
          { schema: 'public', table: 't', only: true },
        )
        const found = await db.query<{ id: number }>(sql)
        // The server may have put a row into an earlier page.
        const inOrder = (ids: number[]): number[] => ids.toSorted((a, b) => a - b)
        expect(String(inOrder(left))).toBe(String(inOrder(found.map(({ id }) => id))))
        if (left.length > 0 && left.length < 300) compared++
      }),
      { numRuns },
    )
    expect(compared).toBeGreaterThan(numRuns / 3)
  })

  test('an index serves where the condition is one that it can serve', async () => {
    await using db = await Database.create(
      inject('postgres')[version],
      'CREATE TABLE t (id int8 PRIMARY KEY, v text)',
      `INSERT INTO t SELECT g, 'x' FROM generate_series(1, 5000) g`,
      'ANALYZE t',
    )
    await using route = new Route(db.url, db.url)
    const { schema } = await route.info('public.t')
    const { bound: where } = bindCondition(parseCondition('id = 17'), schema)
    const request = {
      stream: 'public.t',
      mode: 'append' as const,
      columns: ['id'],
      key: [],
      ...(where ? { where } : {}),
    }
    const sql = selectRange({ request, schema, decode: [0] }, { schema: 'public', table: 't', only: true })
    const plan = await db.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${sql}`)
    expect(plan.map((line) => line['QUERY PLAN']).join('\n')).toContain('Index')
  })
})
