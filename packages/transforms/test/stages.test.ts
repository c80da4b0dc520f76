import { createHmac } from 'node:crypto'
import type { Column } from '@nebula/core'
import { BufferPool, bindCondition, createBatch, parseCondition, Secret } from '@nebula/core'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { addedColumn } from '../src/added-column.ts'
import { checkTransform } from '../src/check-transform.ts'
import { defineTransform } from '../src/define-transform.ts'
import { compilePattern, matchesPattern } from '../src/like.ts'
import { RowFilter } from '../src/row-filter.ts'
import type { ColumnSteps } from '../src/steps.ts'
import { columnTexts, textBatch, typed } from './batches.ts'
import { transformed } from './stages.ts'

const pool = new BufferPool(10_000_000)
afterEach(() => {
  if (pool.statistics.used !== 0) throw new Error(`${pool.statistics.used} bytes were not given back`)
})

const PEOPLE = {
  'id int64': ['1', '2', '3', '4'],
  'email utf8': ['ann@x.org', null, 'carl@y.org', 'd'],
}

describe('masks', () => {
  const masked = (step: ColumnSteps[number], type: string, texts: (string | null)[]): unknown =>
    transformed({ [`a ${type}`]: texts }, { steps: { a: [step] } }, pool).rows['a']

  test.each(['k', 'x'.repeat(64), 'long '.repeat(30)])('hmac is HMAC-SHA-256 under the key %s', (key) => {
    const texts = ['', 'ann', 'ü'.repeat(27), 'x'.repeat(55), 'x'.repeat(56), 'x'.repeat(5000)]
    const wanted = texts.map((text) => createHmac('sha256', key).update(text).digest('hex'))
    expect(masked({ kind: 'hmac', key: new Secret(key) }, 'utf8', [...texts, null])).toEqual([...wanted, null])
    expect(masked({ kind: 'hmac', key: new Secret(key) }, 'int64', ['7'])).toEqual([
      createHmac('sha256', key).update('7').digest('hex'),
    ])
  })

  test('redact says nothing but that there was a value', () => {
    expect(masked({ kind: 'redact' }, 'utf8', ['secret', '', null])).toEqual(['***', '***', null])
    expect(masked({ kind: 'redact' }, 'date', ['2024-02-29', null])).toEqual(['***', null])
  })

  test('partial shows the last four characters of eight or more', () => {
    expect(masked({ kind: 'partial' }, 'utf8', ['12345678', '1234567', '', null, 'ü𝄞üüabü𝄞', 'é'.repeat(7)])).toEqual([
      '****5678',
      '*******',
      '',
      null,
      '****abü𝄞',
      '*******',
    ])
    expect(masked({ kind: 'partial' }, 'int64', ['4111111111111111'])).toEqual(['************1111'])
    expect(masked({ kind: 'partial' }, 'binary', ['\\x00ff00ff00ff'])).toEqual(['**********00ff'])
  })
})

describe('where', () => {
  test('leaves rows out, and counts them; unknown is not wanted', () => {
    const outcome = transformed(PEOPLE, { where: "email like '%@x.org'" }, pool)
    expect(outcome).toMatchObject({ rows: { id: ['1'], email: ['ann@x.org'] }, filtered: 3, places: ['line 2'] })
    expect(transformed(PEOPLE, { where: "not email like '%@x.org'" }, pool).rows['id']).toEqual(['3', '4'])
    expect(transformed(PEOPLE, { where: 'email is null or id in (4, 1)' }, pool).rows['id']).toEqual(['1', '2', '4'])
    expect(transformed(PEOPLE, { where: 'id > 0' }, pool)).toMatchObject({ filtered: 0, places: { length: 4 } })
    expect(transformed(PEOPLE, { where: 'id > 9', columns: ['email'] }, pool)).toMatchObject({
      rows: { email: [] },
      filtered: 4,
    })
  })

  test('rows that do not fit are rejected only where they are wanted', () => {
    const steps = { email: [{ kind: 'cast' as const, type: typed('int32') }] }
    const outcome = transformed(PEOPLE, { where: 'id >= 3', steps }, pool)
    expect(outcome).toMatchObject({ filtered: 2, rejected: [{ place: 'line 4' }, { place: 'line 5' }] })
  })

  test('wire rows and their columns are gathered alike, and others are decoded only for who asks', () => {
    const { batch: content, free } = textBatch({ 'a int64': ['1', '2', '3'], 'b utf8': ['p', 'q', 'r'] }, pool)
    const wire = { format: 'letters', offsets: Int32Array.of(0, 1, 3, 6), data: Buffer.from('abbccc') }
    const asked: boolean[] = []
    const columns = (all: boolean): (Column | undefined)[] => {
      asked.push(all)
      return [content.column(0), all ? content.column(1) : undefined]
    }
    const batch = createBatch({ stream: 'people', schema: content.schema, rows: 3, wire, columns })
    const { bound } = bindCondition(parseCondition('a <> 2'), content.schema)
    const filter = new RowFilter(bound as NonNullable<typeof bound>, content.schema, pool)
    const ready = filter.apply(batch)
    expect(ready.wire).toEqual({
      format: 'letters',
      offsets: Int32Array.of(0, 1, 4),
      data: new Uint8Array(Buffer.from('accc')),
    })
    expect(asked).toEqual([false])
    expect(columnTexts(ready.column(1))).toEqual(['p', 'r'])
    expect(asked).toEqual([false, true])
    expect(
      filter.apply(
        createBatch({
          stream: 'p',
          schema: content.schema,
          rows: 0,
          columns: content.schema.fields.map((_, i) => ({ ...content.column(i), length: 0 })),
        }),
      ).rows,
    ).toBe(0)
    filter.free()
    free()
  })

  test('a column of few distinct texts is compared by them', () => {
    const { batch, free } = textBatch({ 'a utf8': ['x', 'y', null] }, pool)
    const dictionary = batch.column(0)
    if (dictionary.layout !== 'bytes') throw new Error('texts are bytes')
    const column: Column = {
      layout: 'dictionary',
      type: typed('utf8'),
      length: 5,
      validity: Uint8Array.of(0b10111),
      indices: Int32Array.of(1, 0, 2, 0, 1),
      dictionary,
    }
    const few = createBatch({ stream: 'p', schema: batch.schema, rows: 5, columns: [column] })
    const rowsOf = (where: string): string[] => {
      const { bound } = bindCondition(parseCondition(where), batch.schema)
      const filter = new RowFilter(bound as NonNullable<typeof bound>, batch.schema, pool)
      const ready = filter.apply(few)
      const places = Array.from({ length: ready.rows }, (_, row) => ready.place(row))
      filter.free()
      return places
    }
    expect(rowsOf("a = 'y'")).toEqual(['row 1 of the batch', 'row 5 of the batch'])
    expect(rowsOf("a <> 'y'")).toEqual(['row 2 of the batch'])
    expect(rowsOf('a is null')).toEqual(['row 3 of the batch', 'row 4 of the batch'])
    free()
  })

  test('like agrees with the expression that it stands for', () => {
    const parts = fc.array(fc.constantFrom('%', '_', 'a', 'b', 'é', '𝄞', '\\%', '\\_', '\\\\', '.'), { maxLength: 6 })
    const texts = fc.array(fc.constantFrom('a', 'b', 'é', '𝄞', '%', '_', '\\', '.', '\n'), { maxLength: 8 })
    fc.assert(
      fc.property(parts, texts, (pattern, characters) => {
        const text = Buffer.from(characters.join(''))
        const source = pattern.map((part) => {
          if (part === '%') return '.*'
          return part === '_' ? '.' : part.replace(/^\\/, '').replace(/[.\\]/, '\\$&')
        })
        const wanted = new RegExp(`^${source.join('')}$`, 'su').test(characters.join(''))
        expect(matchesPattern(compilePattern(pattern.join('')), text, 0, text.length)).toBe(wanted)
      }),
    )
  })
})

describe('added columns', () => {
  test('hold constants, and what is known of the run and of the row', () => {
    const add = {
      loaded_at: '@extracted_at',
      run: '@run_id',
      stream: '@stream',
      part: '@partition',
      place: '@place',
      country: 'CH',
      n: 1,
      half: 0.5,
      yes: true,
      at: '@@x',
    }
    const { rows } = transformed(PEOPLE, { where: 'id in (1, 3)', columns: ['id'], add }, pool)
    expect(rows).toEqual({
      id: ['1', '3'],
      loaded_at: ['2026-01-02 03:04:05.678+00', '2026-01-02 03:04:05.678+00'],
      run: ['run7', 'run7'],
      stream: ['people', 'people'],
      part: ['people#1', 'people#1'],
      place: ['line 2', 'line 4'],
      country: ['CH', 'CH'],
      n: ['1', '1'],
      half: ['0.5', '0.5'],
      yes: ['true', 'true'],
      at: ['@x', '@x'],
    })
  })

  test.each([
    ['@run_ids', 'add.a: there is no @run_ids; did you mean @run_id? (@@run_ids is that text)'],
    ['@nothing at all', 'add.a: there is no @nothing at all; known are @extracted_at,'],
    [2 ** 53, 'add.a has more digits'],
    [Infinity, 'add.a is no finite number'],
    ['\ud800', 'add.a holds half a character'],
  ])('%s is refused', (value, message) => {
    expect(addedColumn('a', value)).toContain(message)
  })
})

describe('a function over rows', () => {
  test('makes columns, drops rows, and rejects those for which it throws', () => {
    const code = defineTransform({
      columns: { domain: 'text', email: 'text' },
      record(row) {
        if (row['id'] === 4n) throw new Error('four is right out')
        if (row['email'] === null) return null
        const [name = '', domain = ''] = (row['email'] as string).split('@')
        return { domain, email: name }
      },
    })
    const outcome = transformed(PEOPLE, { code }, pool)
    expect(outcome).toEqual({
      rows: { id: ['1', '3'], email: ['ann', 'carl'], domain: ['x.org', 'y.org'] },
      filtered: 1,
      places: ['line 2', 'line 4'],
      rejected: [{ place: 'line 5', reason: 'the transform says: four is right out', values: { id: '4', email: 'd' } }],
    })
  })

  test('works on whole columns, too', () => {
    const code = defineTransform({
      columns: { length: 'int32' },
      reads: ['email'],
      batch: (batch) => {
        const emails = batch.values('email')
        expect(() => batch.column('id')).toThrow(expect.objectContaining({ code: 'transform_failed' }))
        return {
          columns: { length: emails.map((email) => (email as string | null)?.length ?? 0) },
          drop: emails.map((e) => e === null),
        }
      },
    })
    const outcome = transformed(PEOPLE, { code, columns: ['length', 'id'] }, pool)
    expect(outcome).toMatchObject({ rows: { length: ['9', '10', '1'], id: ['1', '3', '4'] }, filtered: 1 })
  })

  test('its rejected rows are seen as they would arrive: masked, and without what was not asked for', () => {
    const code = {
      record: () => {
        throw new Error('no')
      },
    }
    const steps = { email: [{ kind: 'redact' as const }] }
    const { rejected } = transformed(
      { ...PEOPLE, 'password utf8': ['a', 'b', 'c', 'd'] },
      { code, columns: ['email'], steps },
      pool,
    )
    expect(rejected.map(({ values }) => values)).toEqual([
      { email: '***' },
      { email: null },
      { email: '***' },
      { email: '***' },
    ])
  })

  test.each<[string, unknown, string | null | undefined]>([
    ['int64', 5, '5'],
    ['int64', 9007199254740993n, '9007199254740993'],
    ['int32', '7', '7'],
    ['int32', 7.5, undefined],
    ['int8', 200, undefined],
    ['uint64', 2n ** 64n, undefined],
    ['float64', -0, '-0'],
    ['float32', 0.1, '0.1'],
    ['float64', 1n, undefined],
    ['decimal(10,2)', 150n, '1.50'],
    ['decimal(10,2)', 1.5, '1.50'],
    ['decimal(10,2)', '1.505', undefined],
    ['decimal(4,2)', 10000n, undefined],
    ['numeric', 1n, '1'],
    ['bool', true, 'true'],
    ['bool', 1, undefined],
    ['utf8', 7, undefined],
    ['utf8', '\ud800', undefined],
    ['binary', Uint8Array.of(0, 255), '\\x00ff'],
    ['json', { a: [1, null] }, '{"a":[1,null]}'],
    ['json', '{"a": 1}', '{"a": 1}'],
    ['json', 'no json', undefined],
    ['date', 0, '1970-01-01'],
    ['date', new Date('2024-02-29T23:00:00Z'), '2024-02-29'],
    ['timestamptz', new Date('1969-12-31T23:59:59.999Z'), '1969-12-31 23:59:59.999+00'],
    ['timestamp', 1n, '1970-01-01 00:00:00.000001'],
    ['timestamp', 1, undefined],
    ['timestamp', new Date(NaN), undefined],
    ['time', '12:00', '12:00:00'],
    ['uuid', '123E4567-e89b-12d3-a456-426614174000', '123e4567-e89b-12d3-a456-426614174000'],
    ['interval', { months: 1, days: -2, micros: 3n }, 'P1M-2DT0.000003S'],
    ['interval', { months: 0.5, days: 0, micros: 0n }, undefined],
    ['int64', null, null],
  ])('%s from %o', (type, value, text) => {
    const code = { columns: { made: type }, record: () => ({ made: value }) }
    const misfit = `the value that the transform made for "made" does not fit ${type}`
    const { rows, rejected } = transformed({ 'id int64': ['1', '2'] }, { code }, pool)
    const fits = text !== undefined
    expect(rows['made']).toEqual(fits ? [text, text] : [])
    const reasons = rejected.map(({ reason }) => reason)
    expect(reasons).toEqual(fits ? [] : [misfit, misfit])
  })

  test.each<[string, unknown, string]>([
    ['another column', { record: () => ({ b: 1 }) }, 'a value was returned for "b", which columns does not declare'],
    ['no value', { columns: { b: 'text' }, record: () => ({}) }, 'no value was returned for "b"'],
    ['nothing', { record: () => undefined }, 'record must return an object'],
    ['a promise', { record: () => Promise.resolve({}) }, 'record must return an object'],
    [
      'a throw',
      {
        batch: () => {
          throw new Error('oh')
        },
      },
      'people.ts: oh.',
    ],
    ['too few', { columns: { b: 'text' }, batch: () => ({ columns: { b: ['x'] } }) }, 'one value a row, 4'],
    ['too few to drop', { batch: () => ({ drop: [true] }) }, 'drop must have one entry a row, 4'],
    ['no object', { batch: () => 7 }, 'batch must return an object'],
  ])('%s where it is not expected fails the stream', (_, code, message) => {
    expect(() => transformed(PEOPLE, { code }, pool)).toThrow(
      expect.objectContaining({ code: 'transform_failed', message: expect.stringContaining(message) as string }),
    )
  })

  test.each<[unknown, string]>([
    [undefined, 'people.ts has no default export.'],
    [() => null, 'The default export of people.ts is no transform'],
    [{ recrod: () => null }, 'has a key "recrod"'],
    [{}, 'needs one function: record or batch'],
    [{ record: () => null, batch: () => null }, 'needs one function'],
    [{ columns: { a: 'varchar2' }, record: () => null }, 'columns.a of the transform of people.ts is no type'],
    [{ columns: 7, record: () => null }, 'columns of the transform'],
    [{ reads: 'id', record: () => null }, 'reads of the transform'],
  ])('%o is no transform', (exported, message) => {
    expect(() => checkTransform(exported, 'people.ts')).toThrow(
      expect.objectContaining({ code: 'transform_invalid', message: expect.stringContaining(message) as string }),
    )
  })
})
