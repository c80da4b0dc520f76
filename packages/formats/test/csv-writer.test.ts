import type { LogicalType, Schema, Value } from '@nebula/core'
import { BufferPool, parseType } from '@nebula/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { csvFormat } from '../src/index.ts'
import { batchOf, bytesOf, readCsv, rowsOf, written } from './csv-files.ts'

const text = new TextDecoder('utf-8', { ignoreBOM: true })

describe('the writer', () => {
  test('writes null as the empty field, and the empty text in quotes', () => {
    expect(written(batchOf({ a: ['utf8', [null, '', 'x']], b: ['int64', ['1', null, '3']] }))).toBe(
      'a,b\n,1\n"",\nx,3\n',
    )
  })

  test('puts fields in quotes that need them, and no others', () => {
    const texts = ['a,b', 'a"b', 'a\nb', 'a\rb', ' a ', "a'b", 'a;b', '\\.', '#x', 'ü']
    expect(written(batchOf({ a: ['utf8', texts], b: ['utf8', texts.map(() => '1')] }))).toBe(
      'a,b\n"a,b",1\n"a""b",1\n"a\nb",1\n"a\rb",1\n a ,1\na\'b,1\na;b,1\n\\.,1\n#x,1\nü,1\n',
    )
  })

  test("quotes PostgreSQL's end of data where it stands alone", () => {
    expect(written(batchOf({ a: ['utf8', ['\\.', null, '']] }))).toBe('a\n"\\."\n\n""\n')
  })

  test('follows its options', () => {
    const batch = batchOf({ '#a': ['utf8', ['#x', 'NULL', null, "it's"]], b: ['float64', ['1.5', 'NaN', null, '3']] })
    const csv = {
      delimiter: ';',
      quote: "'",
      escape: '\\',
      comment: '#',
      nulls: ['NULL', 'NaN'],
      newline: '\r\n',
    } as const
    expect(written(batch, csv)).toBe("'#a';b\r\n'#x';1.5\r\n'NULL';'NaN'\r\n;\r\n'it\\'s';3\r\n")
    expect(written(batch, { header: false })).toBe("#x,1.5\nNULL,NaN\n,\nit's,3\n")
  })

  test('quotes numbers and dates where the delimiter may be a part of them', () => {
    const batch = batchOf({ a: ['float64', ['1.5']], b: ['date', ['2024-01-02']], c: ['int64', ['7']] })
    expect(written(batch, { delimiter: '-' })).toBe('a-b-c\n1.5-"2024-01-02"-7\n')
    expect(written(batch, { delimiter: '.' })).toBe('a.b.c\n"1.5".2024-01-02.7\n')
  })

  test('quotes names that need it', () => {
    expect(written(batchOf({ 'a"b': ['utf8', []], 'c,d': ['utf8', []], '': ['utf8', []] }))).toBe('"a""b","c,d",""\n')
    expect(written(batchOf({ '\uFEFFa': ['utf8', ['\uFEFF']] }))).toBe('"\uFEFFa"\n\uFEFF\n')
    expect(written(batchOf({ a: ['utf8', ['\uFEFF']] }), { header: false })).toBe('"\uFEFF"\n')
  })

  test('writes the rows that it is asked for', () => {
    const batch = batchOf({ a: ['int64', ['1', '2', '3', '4']], b: ['utf8', ['a', 'b', null, 'd']] })
    const writer = csvFormat().writer(batch.schema, new BufferPool(2 ** 20))
    expect(text.decode(writer.encode(batch, 1, 3))).toBe('2,b\n3,\n')
    expect(text.decode(writer.encode(batch, 3, 4))).toBe('4,d\n')
    expect(text.decode(writer.encode(batch, 2, 2))).toBe('')
  })

  test('writes many rows and long ones', () => {
    const values = Array.from({ length: 5000 }, (_, i) =>
      i % 1000 === 7 ? '"'.repeat(50_000) : `row ${i}, ${'x'.repeat(i % 300)}`,
    )
    const numbers = values.map((_, i) => String(i))
    const file = written(batchOf({ n: ['int32', numbers], v: ['utf8', values] }))
    expect(rowsOf(file)).toEqual(values.map((value, i) => [String(i), value]))
  })
})

const samples: { [type: string]: string[] } = {
  bool: ['true', 'false'],
  int8: ['-128', '0', '127'],
  int16: ['-32768', '7'],
  int32: ['-2147483648', '2147483647'],
  int64: ['-9223372036854775808', '9223372036854775807', '0'],
  uint8: ['255'],
  uint16: ['65535'],
  uint32: ['4294967295'],
  uint64: ['18446744073709551615'],
  float32: ['1.5', 'NaN', '-Infinity'],
  float64: ['0.1', '1e+300', '-0', 'Infinity'],
  numeric: ['123456789012345678901234567890123456789.000', 'NaN'],
  'decimal(10,2)': ['-12345678.90', '0.00'],
  utf8: ['', ' a, "b"\r\n', 'ü€😀', '\0'],
  binary: ['\\x', '\\xdeadbeef'],
  date: ['2024-02-29', 'infinity', '0044-03-15 BC'],
  time: ['23:59:59.999999', '00:00:00'],
  timestamp: ['2024-02-29 12:34:56.789', '-infinity'],
  timestamptz: ['2024-02-29 12:34:56+00'],
  interval: ['1 year 2 mons -3 days 04:05:06.7'],
  uuid: ['123e4567-e89b-12d3-a456-426614174000'],
  json: ['{"a": [1, "x,y"]}', 'null', '""'],
}

describe('what is written is read back', () => {
  test.each(Object.entries(samples))('%s', (type, texts) => {
    const values = [...texts, null]
    const batch = batchOf({ id: ['int32', values.map((_, i) => String(i))], v: [type, values] })
    const schema: Schema = { fields: [{ name: 'v', type: parseType(type) as LogicalType, nullable: true }] }
    for (const csv of [{}, { delimiter: ';' }, { delimiter: '-' }, { delimiter: '5', quote: '1' }]) {
      const file = bytesOf(written(batch, csv))
      const { rows, faults } = readCsv(file, { csv, schema })
      expect(faults).toEqual([])
      expect(rows).toEqual(values.map((_, row): Value[] => [batch.record(row).get('v') as Value]))
    }
  })

  test('any texts, under any options', () => {
    const unit = fc.constantFrom('a', '"', "'", ',', ';', '\n', '\r', ' ', '\\', '.', '#', '-', '\uFEFF', 'é', 'N')
    const value = fc.option(fc.string({ unit }), { nil: null, freq: 4 })
    const options = fc.record({
      delimiter: fc.constantFrom(',', ';', '\t'),
      quote: fc.constantFrom('"', "'"),
      escape: fc.constantFrom('"', '\\', undefined),
      comment: fc.constantFrom('#', '-', undefined),
      header: fc.boolean(),
      nulls: fc.constantFrom([], ['N'], ['-', '\\N']),
      newline: fc.constantFrom('\n' as const, '\r\n' as const),
    })
    const rows = fc
      .integer({ min: 1, max: 3 })
      .chain((width) =>
        fc.array(fc.array(value, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 8 }),
      )
    fc.assert(
      fc.property(rows, options, (table, { escape, comment, ...rest }) => {
        const csv = {
          ...rest,
          ...(escape === undefined ? {} : { escape }),
          ...(comment === undefined ? {} : { comment }),
        }
        const width = table[0]?.length ?? 0
        // Without a header, the first lines of a one-column file that are empty tell nothing about its columns.
        fc.pre(csv.header || width > 1)
        const columns = Array.from({ length: width }, (_, c) => [
          `column_${c + 1}`,
          ['utf8', table.map((row) => row[c])],
        ])
        const file = written(batchOf(Object.fromEntries(columns)), csv)
        expect(rowsOf(file, { csv })).toEqual(table)
      }),
      { numRuns: 2000 },
    )
  }, 60_000)
})
