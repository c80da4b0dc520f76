import type { Column, LogicalType, Value } from '@nebula/core'
import { BufferPool, BytesBuilder, columnBuilder, DATE_INFINITY, DATE_MINUS_INFINITY, valueAt } from '@nebula/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeTuples } from '../src/copy/decode-tuples.ts'
import { TupleEncoder } from '../src/copy/tuple-encoder.ts'

const pool = new BufferPool(1e9)
const INFINITY = 2n ** 63n - 1n
const MINUS_INFINITY = -(2n ** 63n)
const EPOCH = 946_684_800_000_000n

/** Naive twins: a type, the values that it may have, and how numeric_send and the like would write one. */
interface Twin {
  readonly type: LogicalType
  readonly values: fc.Arbitrary<Exclude<Value, null>>
  readonly bytes: (value: never) => Buffer
  readonly jsonb?: boolean
}

const int = (bits: 16 | 32) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 })
const long = fc.bigInt({ min: MINUS_INFINITY, max: INFINITY })
const buffer = (size: number, write: (out: Buffer) => void): Buffer => {
  const out = Buffer.alloc(size)
  write(out)
  return out
}
const int64 = (value: bigint): Buffer => buffer(8, (out) => out.writeBigInt64BE(BigInt.asIntN(64, value)))
const text = (value: string): Buffer => Buffer.from(value)
const wellFormed = fc.string({ unit: 'grapheme' })

function numeric(digits: string): Buffer {
  if (digits === 'NaN') return Buffer.from('00000000c0000000', 'hex')
  const [, minus, whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(digits) ?? []
  const left = whole.replace(/^0+/, '')
  const padded =
    left.padStart(Math.ceil(left.length / 4) * 4, '0') + fraction.padEnd(Math.ceil(fraction.length / 4) * 4, '0')
  const groups = (padded.match(/.{4}/g) ?? []).map(Number)
  let weight = Math.ceil(left.length / 4) - 1
  while (groups[0] === 0) {
    groups.shift()
    weight--
  }
  while (groups.at(-1) === 0) groups.pop()
  return buffer(8 + groups.length * 2, (out) => {
    out.writeInt16BE(groups.length, 0)
    out.writeInt16BE(groups.length === 0 ? 0 : weight, 2)
    out.writeUInt16BE(minus === '-' && groups.length > 0 ? 0x4000 : 0, 4)
    out.writeUInt16BE(fraction.length, 6)
    groups.forEach((group, i) => out.writeInt16BE(group, 8 + i * 2))
  })
}

function decimalText(value: bigint, scale: number): string {
  const all = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  const sign = value < 0n ? '-' : ''
  return sign + (scale === 0 ? all : `${all.slice(0, -scale)}.${all.slice(-scale)}`)
}

const decimal = (precision: number, scale: number): Twin => ({
  type: { kind: 'decimal', precision, scale },
  values: fc.oneof(
    fc.bigInt({ min: -(10n ** BigInt(precision) - 1n), max: 10n ** BigInt(precision) - 1n }),
    fc
      .bigInt({ min: -99_999n, max: 99_999n })
      .filter((value) => value < 10n ** BigInt(precision) && value > -(10n ** BigInt(precision))),
    fc.integer({ min: 0, max: precision - 1 }).map((power) => 10n ** BigInt(power)),
    fc.constant(-(2n ** 127n)),
  ),
  bytes: (value: bigint) => numeric(value === -(2n ** 127n) ? 'NaN' : decimalText(value, scale)),
})

const timestamps = fc.oneof(
  fc.constant(INFINITY),
  fc.constant(MINUS_INFINITY),
  fc.bigInt({ min: -211_813_488_000_000_000n - 1n, max: INFINITY - 1n }),
  fc.bigInt({ min: MINUS_INFINITY + 1n, max: MINUS_INFINITY + 10n ** 15n }),
)

const TWINS: Twin[] = [
  { type: { kind: 'bool' }, values: fc.boolean(), bytes: (value: boolean) => Buffer.from([value ? 1 : 0]) },
  { type: { kind: 'int16' }, values: int(16), bytes: (value: number) => buffer(2, (out) => out.writeInt16BE(value)) },
  { type: { kind: 'int32' }, values: int(32), bytes: (value: number) => buffer(4, (out) => out.writeInt32BE(value)) },
  { type: { kind: 'int64' }, values: long, bytes: int64 },
  {
    type: { kind: 'float32' },
    values: fc.float(),
    bytes: (value: number) => buffer(4, (out) => out.writeFloatBE(value)),
  },
  {
    type: { kind: 'float64' },
    values: fc.double(),
    bytes: (value: number) => buffer(8, (out) => out.writeDoubleBE(value)),
  },
  decimal(38, 0),
  decimal(38, 38),
  decimal(15, 2),
  decimal(20, 7),
  decimal(1, 0),
  {
    type: { kind: 'numeric' },
    values: fc.oneof(
      fc.constant('NaN'),
      fc.tuple(fc.bigInt(), fc.nat(60)).map(([value, scale]) => decimalText(value, scale)),
      fc.nat(1e6).map(String),
    ),
    bytes: numeric,
  },
  { type: { kind: 'utf8' }, values: wellFormed, bytes: text },
  { type: { kind: 'utf8' }, values: fc.nat(400).map((n) => 'xyz'.repeat(n)), bytes: text },
  { type: { kind: 'json' }, values: wellFormed, bytes: text },
  {
    type: { kind: 'json' },
    values: wellFormed,
    bytes: (value: string) => Buffer.concat([Buffer.from([1]), text(value)]),
    jsonb: true,
  },
  { type: { kind: 'binary' }, values: fc.uint8Array(), bytes: (value: Uint8Array) => Buffer.from(value) },
  {
    type: { kind: 'native', vendor: 'postgres', type: 'x' },
    values: fc.uint8Array(),
    bytes: (value: Uint8Array) => Buffer.from(value),
  },
  {
    type: { kind: 'date' },
    values: fc.oneof(
      fc.integer({ min: -2_440_588, max: 2_145_042_905 }),
      fc.constantFrom(DATE_INFINITY, DATE_MINUS_INFINITY),
    ),
    bytes: (value: number) =>
      buffer(4, (out) => out.writeInt32BE(Math.abs(value) >= 0x7fffffff ? value : value - 10_957)),
  },
  { type: { kind: 'time' }, values: fc.bigInt({ min: 0n, max: 86_400_000_000n }), bytes: int64 },
  ...[true, false].map((zone): Twin => ({
    type: { kind: 'timestamp', zone },
    values: timestamps,
    bytes: (value: bigint) => int64(value === INFINITY || value === MINUS_INFINITY ? value : value - EPOCH),
  })),
  {
    type: { kind: 'interval' },
    values: fc.record({ months: int(32), days: int(32), micros: long }),
    bytes: ({ months, days, micros }: { months: number; days: number; micros: bigint }) =>
      Buffer.concat([int64(micros), buffer(8, (out) => out.writeInt32BE(months, out.writeInt32BE(days, 0)))]),
  },
  {
    type: { kind: 'uuid' },
    values: fc.uuid(),
    bytes: (value: string) => Buffer.from(value.replaceAll('-', ''), 'hex'),
  },
]

/** CopyData messages one behind the other, as a copy leaves them in a buffer that does not begin with them. */
function messages(rows: readonly (readonly (Buffer | null)[])[]): {
  data: Uint8Array
  starts: Int32Array
  rows: number
} {
  const starts: number[] = []
  const parts: Buffer[] = [Buffer.alloc(19)]
  let at = 19
  for (const fields of rows) {
    const body = fields.flatMap((field) => {
      const head = buffer(4, (out) => out.writeInt32BE(field?.length ?? -1))
      return field ? [head, field] : [head]
    })
    const payload = Buffer.concat([buffer(2, (out) => out.writeInt16BE(fields.length)), ...body])
    parts.push(
      buffer(5, (out) => (out.write('d'), out.writeInt32BE(payload.length + 4, 1))),
      payload,
    )
    starts.push(at)
    at += 5 + payload.length
  }
  const bytes = Buffer.concat(parts)
  const data = pool.take(bytes.length)
  data.set(bytes)
  return { data, starts: Int32Array.from(starts), rows: rows.length }
}

function decoded(
  twins: readonly Twin[],
  rows: readonly (readonly (Buffer | null)[])[],
): { columns: Column[]; faults: number[][] } {
  const faults: number[][] = []
  const fields = twins.map(({ type, jsonb = false }) => ({ builder: columnBuilder(type, pool), jsonb }))
  const columns = decodeTuples(messages(rows), fields, (...fault) => faults.push(fault)).flatMap((one) => one ?? [])
  return { columns, faults }
}

function encoded(twins: readonly Twin[], columns: readonly Column[], from: number, to: number): Buffer {
  const encoder = new TupleEncoder(twins.map(({ type, jsonb = false }) => ({ type, jsonb })))
  const bytes = new Uint8Array(encoder.begin(columns, from, to) + 3)
  const end = encoder.write({ bytes, view: new DataView(bytes.buffer) }, 3)
  encoder.free()
  return Buffer.from(bytes.subarray(3, end))
}

const table = fc
  .integer({ min: 0, max: 40 })
  .chain((count) =>
    fc.tuple(
      ...TWINS.map(({ values }) => fc.array(fc.option(values, { freq: 5 }), { minLength: count, maxLength: count })),
    ),
  )

test('every type decodes to the value that its bytes mean, and encodes to the same bytes', () => {
  fc.assert(
    fc.property(table, (columns) => {
      const count = columns[0]?.length ?? 0
      const rows = Array.from({ length: count }, (_, row) =>
        TWINS.map(({ bytes }, i) => {
          const value = columns[i]?.[row] ?? null
          return value === null ? null : bytes(value as never)
        }),
      )
      const found = decoded(TWINS, rows)
      expect(found.faults).toEqual([])
      for (const [i, column] of found.columns.entries()) {
        const values = Array.from({ length: count }, (_, row) => valueAt(column, row))
        expect([TWINS[i]?.type, values]).toEqual([TWINS[i]?.type, columns[i] ?? []])
      }
      const expected = rows.map((fields) => {
        return Buffer.from(
          messages([fields]).data.subarray(
            24,
            24 + 2 + fields.reduce((sum, field) => sum + 4 + (field?.length ?? 0), 0),
          ),
        )
      })
      expect(encoded(TWINS, found.columns, 0, count)).toEqual(Buffer.concat(expected))
      const half = count >> 1
      expect(encoded(TWINS, found.columns, half, count)).toEqual(Buffer.concat(expected.slice(half)))
    }),
    { numRuns: 100 },
  )
})

test('a dictionary is written as its entries', () => {
  const entries = new BytesBuilder({ kind: 'utf8' }, pool)
  entries.start(2)
  for (const [row, word] of ['one', 'zwei'].entries()) entries.append(row, text(word), 0, word.length)
  const column: Column = {
    layout: 'dictionary',
    type: { kind: 'utf8' },
    length: 3,
    validity: Uint8Array.of(0b101),
    indices: Int32Array.of(1, 0, 0),
    dictionary: entries.finish(),
  }
  const twin: Twin = { type: { kind: 'utf8' }, values: wellFormed, bytes: text }
  expect(encoded([twin], [column], 0, 3).toString('latin1')).toBe(
    '\0\x01\0\0\0\x04zwei\0\x01\xff\xff\xff\xff\0\x01\0\0\0\x03one',
  )
})

test('numbers that no decimal holds, and instants that look like infinity, are faults', () => {
  const twins = [decimal(10, 2), { type: { kind: 'timestamp', zone: false }, values: timestamps, bytes: int64 } as Twin]
  const rows = [
    [numeric('1.234'), null],
    [numeric('12345678901234567890123456789012345678901.00'), null],
    [Buffer.from('00000000d0000000', 'hex'), null],
    [numeric('1.2'), int64(INFINITY - EPOCH)],
    [null, int64(INFINITY - EPOCH + 1n)],
    [numeric('1.20'), int64(INFINITY)],
  ]
  expect(decoded(twins, rows).faults).toEqual([
    [0, 0],
    [1, 0],
    [2, 0],
    [3, 1],
    [4, 1],
  ])
})

test('a row that does not end where its message does is refused', () => {
  expect(() => decoded([TWINS[3] as Twin, TWINS[3] as Twin], [[int64(1n)], [int64(1n)]])).toThrow(/does not fit/)
})

test.each([
  ['1e5', '100000'],
  ['1.50e1', '15.0'],
  ['+.5', '0.5'],
  ['5.', '5'],
  ['007', '7'],
  ['1E-7', '0.0000001'],
  ['-0', '0'],
  ['Infinity', 'Infinity'],
  ['-Infinity', '-Infinity'],
  ['1e131071', `1${'0'.repeat(131_071)}`],
])('the number %s is written exactly', (written, meant) => {
  const twin: Twin = { type: { kind: 'numeric' }, values: fc.constant(''), bytes: numeric }
  const builder = new BytesBuilder({ kind: 'numeric' }, pool)
  builder.start(1)
  builder.append(0, text(written), 0, written.length)
  const field = encoded([twin], [builder.finish()], 0, 1).subarray(6)
  const [column] = decoded([twin], [[field]]).columns
  expect(column && valueAt(column, 0)).toBe(meant)
})

test.each(['1e131072', '1e-16384', '0.1e-20000'])('the number %s is written so that it is refused', (written) => {
  const builder = new BytesBuilder({ kind: 'numeric' }, pool)
  builder.start(1)
  builder.append(0, text(written), 0, written.length)
  const twin: Twin = { type: { kind: 'numeric' }, values: fc.constant(''), bytes: numeric }
  expect(encoded([twin], [builder.finish()], 0, 1).subarray(6).toString('hex')).toBe('00000000ffff0000')
})

/**
 * COPY (SELECT 12345.678::numeric(10,3), '-0.00012300'::numeric, '2024-02-29 12:34:56.789012'::timestamp,
 * '0044-03-15 BC'::date, '1 year -2 days 00:00:03.000004'::interval, true, -2::int2, 1.5::float4, '{"a": 1}'::jsonb,
 * '24:00'::time, 'é'::varchar, NULL::int8) TO STDOUT BINARY, from PostgreSQL 18, behind its header.
 */
const RECORDED =
  '000c0000000e0003000100000003000109291a7c0000000c0002ffff40000008000108fc000000080002b5834172861400000004fff49d7b' +
  '0000001000000000002dc6c4fffffffe0000000c000000010100000002fffe000000043fc0000000000009017b2261223a20317d00000008' +
  '000000141dd7600000000002c3a9ffffffff'

test('bytes that a server sent', () => {
  const kinds: [LogicalType, Value][] = [
    [{ kind: 'decimal', precision: 10, scale: 3 }, 12_345_678n],
    [{ kind: 'numeric' }, '-0.00012300'],
    [{ kind: 'timestamp', zone: false }, 1_709_210_096_789_012n],
    [{ kind: 'date' }, -735_160],
    [{ kind: 'interval' }, { months: 12, days: -2, micros: 3_000_004n }],
    [{ kind: 'bool' }, true],
    [{ kind: 'int16' }, -2],
    [{ kind: 'float32' }, 1.5],
    [{ kind: 'json' }, '{"a": 1}'],
    [{ kind: 'time' }, 86_400_000_000n],
    [{ kind: 'utf8' }, 'é'],
    [{ kind: 'int64' }, null],
  ]
  const payload = Buffer.from(RECORDED, 'hex')
  const data = Buffer.concat([buffer(5, (out) => (out.write('d'), out.writeInt32BE(payload.length + 4, 1))), payload])
  const fields = kinds.map(([type], i) => ({ builder: columnBuilder(type, pool), jsonb: i === 8 }))
  const tuples = { data, starts: Int32Array.of(0), rows: 1 }
  const columns = decodeTuples(tuples, fields, () => {}).flatMap((one) => one ?? [])
  expect(columns.map((column) => valueAt(column, 0))).toEqual(kinds.map(([, value]) => value))
  const twins = kinds.map(([type], i) => ({ type, jsonb: i === 8 }) as Twin)
  expect(encoded(twins, columns, 0, 1).toString('hex')).toBe(RECORDED)
})
