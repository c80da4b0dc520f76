import { BufferPool, typeName } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import type { CsvOptions } from '../src/index.ts'
import { csvFormat } from '../src/index.ts'
import { bytesOf } from './csv-files.ts'

function namesOf(file: string, csv: Partial<CsvOptions> = {}): readonly string[] | undefined {
  return csvFormat(csv).preamble(bytesOf(file), true)?.names
}

/** The inferred type of a column with these texts. */
function typeOf(...texts: string[]): string {
  return typesOf(`v,other\n${texts.map((value) => `${value},x\n`).join('')}`)[0] ?? ''
}

function typesOf(file: string, complete = true): string[] {
  const format = csvFormat()
  const bytes = bytesOf(file)
  const preamble = format.preamble(bytes, complete)
  if (!preamble) throw new Error('no preamble')
  const pool = new BufferPool(2 ** 30)
  const inference = format.inference(preamble.names, pool)
  inference.observe(bytes, complete, preamble)
  const types = inference.fields.map(({ type }) => typeName(type))
  inference.free()
  expect(pool.statistics.used).toBe(0)
  return types
}

describe('the header', () => {
  test('gives every column a name of its own', () => {
    expect(namesOf('a,a,a_2,a,,\n')).toEqual(['a', 'a_3', 'a_2', 'a_4', 'column_5', 'column_6'])
    expect(namesOf('column_2,,x\n')).toEqual(['column_2', 'column_2_2', 'x'])
  })

  test('keeps blanks, case, quotes and line ends of names', () => {
    expect(namesOf(' a ,"b""c","d\ne",A\n')).toEqual([' a ', 'b"c', 'd\ne', 'A'])
  })

  test('is not complete before its line end', () => {
    const format = csvFormat()
    expect(format.preamble(bytesOf('a,"b\n'), false)).toBeUndefined()
    expect(format.preamble(bytesOf('a,b'), false)).toBeUndefined()
    expect(format.preamble(bytesOf(''), false)).toBeUndefined()
    expect(format.preamble(bytesOf('\n\na,b\r\n1'), false)).toEqual({ names: ['a', 'b'], size: 7 })
  })

  test('that cannot be read is an error', () => {
    expect(() => namesOf('"a"b,c\n')).toThrow('The first line cannot be read: text after a closing quote.')
    expect(() => namesOf('a,"b')).toThrow('a quote is not closed')
    expect(() => csvFormat().preamble(Uint8Array.of(0xff, 0x2c, 0x61, 0x0a), true)).toThrow('not valid UTF-8')
    expect(() => namesOf(','.repeat(20_000))).toThrow('20001 fields')
  })
})

describe('a type is inferred only when every text is printed back as it was', () => {
  test.each([
    ['int64', ['1', '-5', '9223372036854775807', '']],
    ['float64', ['1.5', '2', '-0.001']],
    ['bool', ['true', 'false', '']],
    ['date', ['2024-01-31', '1999-12-01']],
    ['timestamp', ['2024-01-31 10:00:00', '2024-01-31 10:00:00.5']],
    ['timestamptz', ['2024-01-31 10:00:00+00']],
    ['utf8', ['', '']],
    ['utf8', ['""', '1']],
  ])('%s: %j', (type, texts) => {
    expect(typeOf(...texts)).toBe(type)
  })

  test.each([
    '007',
    '1.50',
    '+5',
    '1e5',
    '0x10',
    '12345678901234567890',
    '-',
    'null',
    'TRUE',
    't',
    ' 1',
    '1,5',
    '31.01.2024',
    '2024-1-31',
    '2024-01-31T10:00:00',
    '24:00',
  ])('else text: %s', (value) => {
    expect(typeOf(`"${value}"`)).toBe('utf8')
  })

  test('by every row of the sample', () => {
    const numbers = Array.from({ length: 30_000 }, (_, i) => String(i))
    expect(typeOf(...numbers)).toBe('int64')
    expect(typeOf(...numbers, '1.5')).toBe('float64')
    expect(typeOf(...numbers, '01')).toBe('utf8')
  })

  test('and a record that the sample cuts does not count', () => {
    expect(typesOf('a,b\n1,2\n3,4x', false)).toEqual(['int64', 'int64'])
    expect(typesOf('a,b\n1,2\n3,4x', true)).toEqual(['int64', 'utf8'])
  })

  test('and records that are no rows do not count', () => {
    expect(typesOf('a,b\n1,2\nx\n3,4\n')).toEqual(['int64', 'int64'])
    expect(typesOf('')).toEqual([])
  })
})

describe('options', () => {
  test('that contradict each other are refused', () => {
    expect(() => csvFormat({ delimiter: '"' })).toThrow('same character')
    expect(() => csvFormat({ comment: ',' })).toThrow('same character')
    expect(() => csvFormat({ delimiter: '::' })).toThrow('one ASCII character')
    expect(() => csvFormat({ quote: '\n' })).toThrow('one ASCII character')
  })

  test("say whether PostgreSQL's rows can be appended as they are", () => {
    expect(csvFormat().wire).toBe('csv')
    expect(csvFormat({ header: false }).wire).toBe('csv')
    expect(csvFormat({ delimiter: ';' }).wire).toBeUndefined()
    expect(csvFormat({ newline: '\r\n' }).wire).toBeUndefined()
    expect(csvFormat({ nulls: ['NULL'] }).wire).toBeUndefined()
  })
})
