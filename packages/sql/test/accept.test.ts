import type { Acceptance, Field, LogicalType, Schema } from '@nebula/core'
import { parseType, utf8 } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { acceptStream, needsText } from '../src/accept.ts'
import type { SqlTypes } from '../src/index.ts'
import { Names } from '../src/index.ts'

const names = new Names({ vendor: 'Vendor', quote: '"', maxBytes: 20 })

/** Knows integer, bigint, text and time; of small integers it makes larger ones, and `time(0)` rounds. */
const types: SqlTypes = {
  vendor: 'vendor',
  columnType: ({ kind }) => {
    if (kind === 'int8') return { type: 'integer', as: { kind: 'int32' } }
    const own = { int32: 'integer', int64: 'bigint', utf8: 'text', time: 'time' } as Record<string, string>
    return own[kind] === undefined ? undefined : { type: own[kind] }
  },
  lossOf: ({ type }, declared) => (type.kind === 'time' && declared === 'time(0)' ? 'it rounds' : undefined),
  isText: (declared) => declared === 'text',
  wires: (parsed) => (parsed ? ['vendor/text'] : ['vendor/binary', 'vendor/text']),
}
const WIRES = ['vendor/text', 'vendor/binary']

const typeOf = (name: string): LogicalType => parseType(name) ?? { kind: 'native', vendor: 'vendor', type: name }
/** A column of some other system. */
const foreign = (name: string, type: string, more: Partial<Field> = {}): Field => {
  return { name, type: typeOf(type), nullable: true, ...more }
}
/** A column of the vendor itself. */
const own = (name: string, type: string, declared = type, more: Partial<Field> = {}): Field => {
  return foreign(name, type, { vendor: 'vendor', declared, ...more })
}

function accept(fields: readonly Field[], standing?: readonly Field[], wire: readonly string[] = []): Acceptance {
  const request = { stream: 'public.orders', mode: 'append' as const, columns: fields.map(({ name }) => name), key: [] }
  const target: Schema | undefined = standing && { fields: standing }
  return acceptStream(types, names, { request, schema: { fields }, wire, standing: target })
}

describe('a new table', () => {
  test('has a column for each field, and says which hold more than they must', () => {
    const { columns, ddl, problems } = accept([foreign('id', 'int32', { nullable: false }), foreign('a"b', 'int8')])
    expect(columns).toEqual([
      { as: typeOf('int32'), type: 'integer', fidelity: 'exact' },
      { as: typeOf('int32'), type: 'integer', fidelity: 'widened' },
    ])
    expect(ddl).toEqual(['CREATE TABLE public.orders ("id" integer NOT NULL, "a""b" integer)'])
    expect(problems).toEqual([])
  })

  test("keeps the vendor's own types as they were declared, in the type that is offered first", () => {
    const { columns } = accept([own('id', 'int32', 'serial'), own('tree', 'ltree', 'ltree', { offers: [utf8] })])
    expect(columns).toEqual([
      { as: typeOf('int32'), type: 'serial', fidelity: 'exact' },
      { as: utf8, type: 'ltree', fidelity: 'exact' },
    ])
  })

  test('keeps what only another system understands as what the source offers in its place', () => {
    const strange: LogicalType = { kind: 'native', vendor: 'other', type: 'thing' }
    const { columns, problems } = accept([foreign('a', 'text', { type: strange, offers: [strange, utf8] })])
    expect(columns).toEqual([{ as: utf8, type: 'text', fidelity: 'widened' }])
    expect(problems).toEqual([])
  })

  test('tells every column that it cannot have', () => {
    const { problems } = accept([foreign('n', 'uuid'), foreign('id', 'int32'), foreign('x'.repeat(21), 'int32')])
    expect(problems).toEqual([
      {
        code: 'unsupported',
        column: 'n',
        message: 'column n: Vendor has no column for uuid; leave it out, or cast it',
      },
      {
        code: 'target_incompatible',
        column: 'x'.repeat(21),
        message: `column ${'x'.repeat(21)}: its name is 21 bytes long; Vendor keeps 20 of a name`,
      },
    ])
  })
})

describe('a table that stands', () => {
  const fit = (field: Field, column: Field): Acceptance => accept([field], [column])

  test.each([
    ['its own type', own('c', 'int32', 'serial'), own('c', 'int32', 'serial'), 'int32'],
    ['the same type of another system', foreign('c', 'int32'), own('c', 'int32', 'integer'), 'int32'],
    ['the second type that is offered', foreign('c', 'x', { offers: [typeOf('x'), utf8] }), own('c', 'text'), 'text'],
    ['text of no type as what it has', foreign('c', 'text'), own('c', 'int64', 'bigint'), 'int64'],
    ['text of no type as text for what is native', foreign('c', 'text'), own('c', 'ltree'), 'text'],
  ])('takes exactly %s', (_, field, column, as) => {
    expect(fit(field, column)).toMatchObject({
      columns: [{ as: typeOf(as), type: column.declared, fidelity: 'exact' }],
      ddl: [],
      problems: [],
    })
  })

  test('takes a type that its own one holds', () => {
    const { columns, problems } = fit(foreign('c', 'int32'), own('c', 'int64', 'bigint'))
    expect(columns).toEqual([{ as: typeOf('int64'), type: 'bigint', fidelity: 'widened' }])
    expect(problems).toEqual([])
  })

  test('says what it would lose', () => {
    const { columns, problems } = fit(foreign('c', 'time'), own('c', 'time', 'time(0)'))
    expect(columns).toEqual([{ as: typeOf('time'), type: 'time(0)', fidelity: 'lossy', why: 'it rounds' }])
    expect(problems).toEqual([])
  })

  test.each([
    [
      'that does not fit',
      own('c', 'int64', 'bigint'),
      own('c', 'int32', 'integer'),
      'bigint does not fit into integer; write cast: { c: int32 }, or change the target',
    ],
    [
      'of text that another system declared',
      own('c', 'text'),
      own('c', 'int32', 'integer'),
      'text does not fit into integer; write cast: { c: int32 }, or change the target',
    ],
    [
      'of another native type',
      own('c', 'hstore'),
      own('c', 'ltree'),
      'hstore does not fit into ltree; write cast: { c: text }, or change the target',
    ],
    [
      'whose bytes are of another system',
      foreign('c', 'ltree', { vendor: 'other', declared: 'tree' }),
      own('c', 'ltree'),
      'tree does not fit into ltree; write cast: { c: text }, or change the target',
    ],
    ['that it has not', foreign('c', 'int32'), own('d', 'int32'), 'the target has no such column'],
    ['that it spells otherwise', foreign('c', 'int32'), own('C', 'int32'), 'the target spells it C'],
    [
      'that it generates',
      own('c', 'int32'),
      own('c', 'int32', 'int32', { generated: true }),
      'the target generates it and takes no values',
    ],
  ])('refuses a column %s', (_, field, column, problem) => {
    expect(fit(field, column).problems).toEqual([
      { code: 'target_incompatible', column: 'c', message: `column c: ${problem}` },
    ])
  })

  test('tells the values that the stream lacks', () => {
    const others = ['needed', 'nullable', 'computed'].map((name) => {
      return own(name, 'int32', 'integer', { nullable: name === 'nullable', generated: name === 'computed' })
    })
    expect(accept([foreign('id', 'int32')], [own('id', 'int32'), ...others]).problems).toEqual([
      {
        code: 'target_incompatible',
        column: 'needed',
        message: 'the target needs a value in needed, which the stream does not have',
      },
    ])
  })
})

describe('what travels', () => {
  const tree = own('tree', 'ltree', 'ltree', { offers: [typeOf('ltree'), utf8] })
  const parsed = own('state', 'text', 'mood')

  test('native values stay native, unless the server parses a column: then all are text', () => {
    const native = accept([tree, own('note', 'text')])
    expect(native.columns.map(({ as }) => as)).toEqual([typeOf('ltree'), utf8])
    expect(needsText(types, native)).toBe(false)
    const text = accept([tree, parsed, own('id', 'int32')])
    expect(text.columns.map(({ as }) => as)).toEqual([utf8, utf8, typeOf('int32')])
    expect(needsText(types, text)).toBe(true)
  })

  test('identical rows pass through in the best format that is offered', () => {
    expect(accept([tree], undefined, WIRES).wire).toBe('vendor/binary')
    expect(accept([tree], [tree], WIRES).wire).toBe('vendor/binary')
    expect(accept([tree], undefined, ['vendor/text']).wire).toBe('vendor/text')
    expect(accept([tree, parsed], undefined, WIRES).wire).toBe('vendor/text')
  })

  test.each([
    ['one column has no type of a system', [tree, foreign('id', 'int32')], undefined, WIRES],
    [
      'one column is of another system',
      [foreign('n', 'int32', { vendor: 'x', declared: 'integer' })],
      undefined,
      WIRES,
    ],
    ['one column is declared otherwise', [tree, own('id', 'int32')], [tree, own('id', 'int64', 'bigint')], WIRES],
    ['the format is not offered', [tree], undefined, ['other/binary']],
    ['only a format is offered that parsed rows cannot have', [tree, parsed], undefined, ['vendor/binary']],
  ])('no format is chosen when %s', (_, fields, standing, wire) => {
    const accepted = accept(fields, standing, wire)
    expect(accepted.problems).toEqual([])
    expect(accepted).not.toHaveProperty('wire')
  })
})
