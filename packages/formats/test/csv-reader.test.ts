import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { LogicalType, Schema } from '@nebula/core'
import { BufferPool, parseType, valueAt } from '@nebula/core'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { csvFormat } from '../src/index.ts'
import { bytesOf, readCsv, rowsOf } from './csv-files.ts'
import type { LongRecord } from './long-records.ts'

const text = new TextDecoder()

/** Reads long records in a thread: coverage does not count there, which would take a minute for so many bytes. */
async function inThread(record: LongRecord): Promise<unknown> {
  const thread = new Worker(new URL('./long-records.ts', import.meta.url), { workerData: record })
  const [read] = (await once(thread, 'message')) as [unknown]
  return read
}

function schemaOf(types: { [name: string]: string }): Schema {
  const fields = Object.entries(types).map(([name, type]) => ({
    name,
    type: parseType(type) as LogicalType,
    nullable: true,
  }))
  return { fields }
}

describe('the file', () => {
  test('of 0 bytes has no columns and no rows', () => {
    expect(readCsv('')).toMatchObject({ names: [], rows: [], faults: [] })
  })

  test('with a header only has no rows', () => {
    expect(readCsv('a,b\n')).toMatchObject({ names: ['a', 'b'], rows: [] })
    expect(readCsv('a,b')).toMatchObject({ names: ['a', 'b'], rows: [] })
  })

  test('may end without a line end', () => {
    expect(rowsOf('a,b\n1,2\n3,4')).toEqual([
      ['1', '2'],
      ['3', '4'],
    ])
    expect(rowsOf('a,b\n1,2\n3,"4"')).toEqual([
      ['1', '2'],
      ['3', '4'],
    ])
    expect(rowsOf('a,b\n1,')).toEqual([['1', null]])
    expect(rowsOf('a,b\n1,2\r')).toEqual([['1', '2']])
  })

  test.each(['\n', '\r\n', '\r'])('may have lines that end with %j', (end) => {
    expect(rowsOf(['a,b', '1,2', '"3",4', '5,', ''].join(end))).toEqual([
      ['1', '2'],
      ['3', '4'],
      ['5', null],
    ])
  })

  test('may mix its line ends', () => {
    expect(rowsOf('a,b\r1,2\n3,4\r\n5,6\r7,8')).toEqual([
      ['1', '2'],
      ['3', '4'],
      ['5', '6'],
      ['7', '8'],
    ])
  })

  test('may begin with a byte order mark, also before a quote', () => {
    expect(readCsv('\uFEFF"a",b\n1,2\n')).toMatchObject({ names: ['a', 'b'], rows: [['1', '2']] })
    expect(readCsv('\uFEFF1,2\n', { csv: { header: false } })).toMatchObject({
      names: ['column_1', 'column_2'],
      rows: [['1', '2']],
    })
  })

  test.each([
    [0xff, 0xfe],
    [0xfe, 0xff],
  ])('in UTF-16 is refused (%i %i)', (...mark) => {
    expect(() => readCsv(Uint8Array.from([...mark, 0x61, 0]))).toThrow(/UTF-16/)
  })

  test('without a header has numbered columns', () => {
    expect(readCsv('1,2\n3,4\n', { csv: { header: false } })).toMatchObject({
      names: ['column_1', 'column_2'],
      rows: [
        ['1', '2'],
        ['3', '4'],
      ],
    })
  })
})

describe('a field', () => {
  test('that is empty is null, and an empty text when it is quoted', () => {
    expect(rowsOf('a,b,c\n,"",x\n')).toEqual([[null, '', 'x']])
  })

  test('is null when it is one of the null texts and not quoted', () => {
    expect(rowsOf('a,b,c,d\nNULL,"NULL",\\N,\n', { csv: { nulls: ['NULL', '\\N'] } })).toEqual([
      [null, 'NULL', null, null],
    ])
  })

  test('may hold line ends, delimiters and doubled quotes within quotes', () => {
    expect(rowsOf('a,b\n"1\r\n2\n3\r4","x,""y"""\n')).toEqual([['1\r\n2\n3\r4', 'x,"y"']])
  })

  test('that does not begin with a quote keeps its quotes', () => {
    expect(rowsOf('a,b\nx"y",5" pipe\n1,2\n')).toEqual([
      ['x"y"', '5" pipe'],
      ['1', '2'],
    ])
    expect(rowsOf('a,b\n "x",y\n')).toEqual([[' "x"', 'y']])
  })

  test('keeps blanks, NUL bytes, decimal commas and everything that looks like a number or null', () => {
    const row = [' x ', 'a\0b', '1,5', '007', '1e5', '0x10', 'NaN', 'null', '-', '12345678901234567890']
    const names = row.map((_, i) => `c${i}`)
    expect(rowsOf(`${names.join(';')}\n${row.join(';')}\n`, { csv: { delimiter: ';' } })).toEqual([row])
  })

  test('may be escaped with another byte than the quote', () => {
    const csv = { escape: '\\' }
    expect(rowsOf('a,b\n"x\\"y","c\\\\d\\n"\n"\\\\",2\n', { csv })).toEqual([
      ['x"y', 'c\\d\\n'],
      ['\\', '2'],
    ])
  })

  test.each([1, 3, 100])(
    'may have %i MB',
    async (megabytes) => {
      const size = megabytes * 1_000_000
      expect(await inThread({ size })).toEqual({
        faults: [],
        rows: [
          ['1', size - 6],
          ['2', 1],
          ['3', 1],
        ],
      })
    },
    60_000,
  )
})

describe('lines', () => {
  test('of 0 bytes are skipped where there are several columns, and null rows where there is one', () => {
    expect(rowsOf('a,b\n\n1,2\n\r\n\n3,4\n\n')).toEqual([
      ['1', '2'],
      ['3', '4'],
    ])
    expect(rowsOf('a\n1\n\n2\n\n')).toEqual([['1'], [null], ['2'], [null]])
  })

  test('that begin with the comment byte are skipped', () => {
    const csv = { comment: '#' }
    expect(readCsv('# made by hand\na,b\n#x,"\n1,2\n3,#4\n#', { csv })).toMatchObject({
      names: ['a', 'b'],
      rows: [
        ['1', '2'],
        ['3', '#4'],
      ],
    })
  })
})

describe('a record is rejected', () => {
  const reasons = (file: string, csv = {}) => readCsv(file, { csv }).faults.map((fault) => fault.reason)

  test('when it has other columns than the header', () => {
    const { rows, faults } = readCsv('a,b,c\n1,2\n1,2,3\n1,2,3,4\nx\n')
    expect(rows).toEqual([['1', '2', '3']])
    expect(faults.map(({ reason, code, offset, raw }) => [reason, code, offset, text.decode(raw)])).toEqual([
      ['2 fields instead of 3', 'row_invalid', 6, '1,2'],
      ['4 fields instead of 3', 'row_invalid', 16, '1,2,3,4'],
      ['1 field instead of 3', 'row_invalid', 24, 'x'],
    ])
  })

  test('when text follows a closing quote, and the next record is read', () => {
    const { rows, faults } = readCsv('a,b\n"x" ,1\n"x"y"z,"1\n2"\n3,4\n')
    expect(faults.map(({ reason, raw }) => [reason, text.decode(raw)])).toEqual([
      ['text after a closing quote', '"x" ,1'],
      ['text after a closing quote', '"x"y"z,"1\n2"'],
    ])
    expect(rows).toEqual([['3', '4']])
  })

  test('when a quote is not closed at the end of the file', () => {
    const { rows, faults } = readCsv('a,b\n1,2\n3,"x\ny\nz')
    expect(rows).toEqual([['1', '2']])
    expect(faults).toMatchObject([{ reason: 'a quote is not closed', offset: 8 }])
  })

  test('when it is not valid UTF-8, in the columns that are read', () => {
    const bytes = bytesOf('a,b\nx,1\ny?,2\n')
    bytes[9] = 0xff
    const { rows, faults } = readCsv(bytes)
    expect(rows).toEqual([['x', '1']])
    expect(faults).toMatchObject([{ reason: '"a" is not valid UTF-8', code: 'value_invalid', column: 'a', offset: 8 }])
    expect(rowsOf(bytes, { schema: schemaOf({ b: 'int64' }) })).toEqual([[1n], [2n]])
  })

  test('when a value is not of its type, once and without the value in the reason', () => {
    const schema = schemaOf({ price: 'decimal(10,2)', id: 'int64' })
    const { rows, faults } = readCsv('id,price\n1,2.50\nx,y\n3,1.234\n4,\n"5 ",1\n', { schema })
    expect(rows).toEqual([
      [250n, 1n],
      [null, 4n],
    ])
    expect(faults.map(({ reason, column, raw, offset }) => [reason, column, text.decode(raw), offset])).toEqual([
      ['"price" is not a valid decimal(10,2)', 'price', 'x,y', 16],
      ['"price" is not a valid decimal(10,2)', 'price', '3,1.234', 20],
      ['"id" is not a valid int64', 'id', '"5 ",1', 31],
    ])
  })

  test('with 200,000 fields, and memory stays as it is', () => {
    const pool = new BufferPool(2 ** 30)
    const wide = ','.repeat(200_000)
    const { rows, faults } = readCsv(`a,b\n1,2\n${wide}\n3,4\n`, { pool })
    expect(rows).toEqual([
      ['1', '2'],
      ['3', '4'],
    ])
    expect(faults.map((fault) => fault.reason)).toEqual(['200001 fields instead of 2'])
    expect(pool.statistics.peak).toBeLessThan(16 * 2 ** 20)
    expect(pool.statistics.used).toBe(0)
  })

  test('in a file of one column too', () => {
    expect(reasons('a\n1,2\n"x"y\n')).toEqual(['2 fields instead of 1', 'text after a closing quote'])
  })
})

const cell = fc.option(
  fc.oneof(
    fc.string({ unit: fc.constantFrom('a', '"', "'", ',', ';', '\t', '|', '\n', '\r', ' ', '\\', '0', '\0') }),
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.constantFrom('', '007', 'null', '""', '\uFEFF'),
  ),
  { nil: null, freq: 4 },
)

const table = fc.integer({ min: 2, max: 5 }).chain((width) =>
  fc.record({
    rows: fc.array(fc.array(cell, { minLength: width, maxLength: width }), { maxLength: 20 }),
    delimiter: fc.constantFrom(',', ';', '\t', '|'),
    quote: fc.constantFrom('"', "'"),
    end: fc.constantFrom('\n', '\r\n', '\r'),
    eager: fc.boolean(),
  }),
)

type Table = typeof table extends fc.Arbitrary<infer T> ? T : never

/** Writes a table in the most naive way. */
function encode({ rows, delimiter, quote, end, eager }: Table): string {
  const field = (value: string | null): string => {
    if (value === null) return ''
    const needed = value === '' || [delimiter, quote, '\n', '\r', '\uFEFF'].some((special) => value.includes(special))
    return needed || eager ? `${quote}${value.replaceAll(quote, quote + quote)}${quote}` : value
  }
  return rows.map((row) => row.map(field).join(delimiter) + end).join('')
}

describe('memory', () => {
  test('that a long record needed is given back behind it', () => {
    const pool = new BufferPool(2 ** 30)
    const { names, rows } = readCsv(`a,b\n1,${'x'.repeat(5_000_000)}\n${'2,y\n'.repeat(300_000)}`, { pool })
    expect([names, rows.length]).toEqual([['a', 'b'], 300_001])
    expect(pool.statistics.used).toBe(0)
    expect(pool.statistics.peak).toBeLessThan(32 * 2 ** 20)
  })

  test('is kept for the next batch, and given back when it is short', () => {
    const pool = new BufferPool(2 ** 30)
    const schema = schemaOf({ a: 'int64' })
    const reader = csvFormat().reader({ schema, columns: [0], width: 1, offset: 0, rows: 100, bytes: 1000, pool })
    reader.space().set(bytesOf('1\n2\n'))
    reader.filled(4)
    const batch = reader.next()
    const lent = pool.statistics.used
    batch?.release()
    expect(pool.statistics.used).toBe(lent)
    reader.trim()
    expect(pool.statistics.used).toBeLessThan(lent)
    reader.space().set(bytesOf('3\n'))
    reader.filled(2)
    const late = reader.next()
    reader.free()
    expect(late?.columns[0] && valueAt(late.columns[0], 0)).toBe(3n)
    late?.release()
    expect(pool.statistics.used).toBe(0)
  })
})

test('a record of more than 256 MB is an error that says where it begins', async () => {
  expect(await inThread({ offset: 7 })).toEqual({
    code: 'data_invalid',
    message: expect.stringContaining('at byte 7'),
    fix: expect.stringContaining('quote'),
  })
}, 60_000)

describe('for generated tables', () => {
  test('it agrees with csv-parse and with what was written', () => {
    fc.assert(
      fc.property(table, (made) => {
        const { rows, delimiter, quote } = made
        const file = encode(made)
        const oracle = parse(file, {
          delimiter,
          quote,
          escape: quote,
          record_delimiter: ['\r\n', '\n', '\r'],
          cast: (value, { quoting }) => (value === '' && !quoting ? null : value),
        })
        expect(oracle).toEqual(rows)
        expect(rowsOf(file, { csv: { delimiter, quote, header: false } })).toEqual(rows)
      }),
      { numRuns: 500 },
    )
  }, 60_000)

  test('it gives the same for every size of chunk and batch', () => {
    fc.assert(
      fc.property(table, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5 }), (made, chunk, rows) => {
        const { delimiter, quote } = made
        const csv = { delimiter, quote, header: false }
        const file = `first${delimiter}row\n${encode(made)}x${delimiter}${quote}${quote}y\n`
        const { faults, ...whole } = readCsv(file, { csv })
        expect(readCsv(file, { csv, chunk, rows, bytes: chunk * 3 })).toEqual({ ...whole, faults })
      }),
    )
  }, 60_000)

  test('it reads any bytes without failing, and counts them the same in any chunks', () => {
    const soup = fc.array(fc.constantFrom(0x22, 0x2c, 0x0a, 0x0d, 0x61, 0xff, 0x5c, 0x23), { maxLength: 60 })
    fc.assert(
      fc.property(soup, fc.integer({ min: 1, max: 9 }), fc.boolean(), (bytes, chunk, special) => {
        const csv = special ? { escape: '\\', comment: '#' } : {}
        const file = Uint8Array.from([...bytesOf('a,b\n'), ...bytes])
        expect(readCsv(file, { csv, chunk })).toEqual(readCsv(file, { csv }))
      }),
      { numRuns: 1000 },
    )
  }, 60_000)
})
