import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Column, LogicalType, Value } from '../src/index.ts'
import { BufferPool, castColumn, columnBuilder, parseType, typeName, utf8 } from '../src/index.ts'
import { columnOf, format, parse, pool, valuesOf } from './columns.ts'
import { nullable, TEXT_TYPES } from '@nebula/testkit/arbitraries'

const typeOf = (name: string): LogicalType => parseType(name) as LogicalType

/** The values after the cast, `'fault'` where one does not fit. */
function cast(column: Column, to: LogicalType): Value[] {
  const builder = columnBuilder(to, pool)
  const faults: number[] = []
  castColumn(column, builder, pool, (row) => faults.push(row))
  expect(faults).toEqual([...faults].sort((a, b) => a - b))
  const values = valuesOf(builder.finish())
  for (const row of faults) expect(values[row]).toBeNull()
  return values.map((value, row) => (faults.includes(row) ? 'fault' : value))
}

/** Texts before and behind the cast; `!` is a fault. */
const CASES: readonly (readonly [from: string, to: string, pairs: string])[] = [
  ['int8', 'int32', '-128=-128 127=127'],
  ['int32', 'int8', '127=127 128=! -128=-128 -129=!'],
  ['int32', 'uint16', '65535=65535 65536=! -1=!'],
  ['uint32', 'int32', '2147483647=2147483647 2147483648=!'],
  ['int32', 'int64', '-1=-1 2147483647=2147483647 -2147483648=-2147483648'],
  ['uint32', 'int64', '4294967295=4294967295'],
  ['int32', 'uint64', '5=5 -5=!'],
  ['int64', 'int32', '-2147483648=-2147483648 2147483648=! -1=-1 4611686018427387904=!'],
  ['int64', 'uint8', '255=255 256=! -1=! 4294967296=!'],
  ['uint64', 'uint32', '4294967295=4294967295 18446744073709551615=!'],
  ['int64', 'uint64', '9223372036854775807=9223372036854775807 -1=!'],
  ['uint64', 'int64', '9223372036854775807=9223372036854775807 9223372036854775808=!'],
  ['int32', 'float64', '-2147483648=-2147483648'],
  ['int32', 'float32', '16777216=1.6777216e+07 16777217=!'],
  ['int64', 'float64', '9007199254740992=9.007199254740992e+15 9007199254740993=! -9007199254740993=!'],
  ['int64', 'float64', '9223372036854775807=! -9223372036854775808=-9.223372036854776e+18 0=0'],
  ['uint64', 'float64', '9223372036854775808=9.223372036854776e+18 18446744073709551615=!'],
  ['float32', 'float64', '0.1=0.10000000149011612 NaN=NaN -0=-0 Infinity=Infinity'],
  ['float64', 'float32', '0.5=0.5 0.1=! NaN=NaN 1e+300=! -Infinity=-Infinity'],
  ['float64', 'int32', '3=3 -0=0 3.5=! NaN=! Infinity=! 2147483648=!'],
  ['float64', 'int64', '-9223372036854775808=-9223372036854775808 9223372036854775808=! 0.5=! NaN=! -1=-1'],
  ['float64', 'uint64', '9223372036854775808=9223372036854775808 -1=! 18446744073709551616=!'],
  ['float64', 'decimal(10,2)', '0.1=0.10 1e+15=! 1.234=! NaN=NaN Infinity=!'],
  ['int32', 'decimal(10,2)', '99999999=99999999.00 -99999999=-99999999.00 100000000=! 0=0.00'],
  ['int64', 'decimal(38,18)', '-9223372036854775808=-9223372036854775808.000000000000000000'],
  ['uint64', 'decimal(20,0)', '18446744073709551615=18446744073709551615'],
  ['int64', 'decimal(4,4)', '0=0.0000 1=! -1=!'],
  ['decimal(10,2)', 'decimal(12,4)', '123.45=123.4500 -0.01=-0.0100 NaN=NaN'],
  ['decimal(12,4)', 'decimal(10,2)', '123.45=123.45 -123.4501=! -0.01=-0.01'],
  ['decimal(38,0)', 'decimal(10,0)', '9999999999=9999999999 10000000000=! -10000000000000000000000000000000000000=!'],
  ['decimal(38,38)', 'decimal(38,0)', '0.1=! 0=0'],
  ['decimal(38,0)', 'decimal(38,38)', '0=0.00000000000000000000000000000000000000 1=! -1=!'],
  ['decimal(10,2)', 'int8', '127.00=127 128.00=! 127.50=! -128.00=-128 NaN=!'],
  ['decimal(38,0)', 'int64', '9223372036854775807=9223372036854775807 9223372036854775808=!'],
  ['decimal(38,0)', 'int64', '-9223372036854775808=-9223372036854775808 -1000000000000000000000000000000=!'],
  ['decimal(38,0)', 'uint64', '18446744073709551615=18446744073709551615 18446744073709551616=! -1=!'],
  ['decimal(38,0)', 'uint32', '4294967295=4294967295 4294967296=! 18446744073709551616=!'],
  ['decimal(10,2)', 'float64', '0.10=0.1 NaN=NaN'],
  ['decimal(10,2)', 'numeric', '0.10=0.10 NaN=NaN'],
  ['numeric', 'int32', '12.00=12 1.5=! 1e3=1000 NaN=! 99999999999=! -7=-7'],
  ['numeric', 'decimal(5,1)', '1.50=1.5 1.55=! NaN=NaN'],
  ['numeric', 'float64', '0.1=0.1 Infinity=Infinity'],
  ['utf8', 'int32', '12=12 12.0=! =!'],
  ['utf8', 'date', '2020-01-01=2020-01-01 x=!'],
  ['utf8', 'json', '{}={} {=!'],
  ['json', 'utf8', '{"a":1}={"a":1}'],
  ['int64', 'utf8', '-5=-5'],
  ['binary', 'utf8', '\\xff=\\xff'],
  ['bool', 'utf8', 'true=true'],
  ['date', 'timestamptz', 'infinity=infinity'],
  ['date', 'interval', '2020-01-01=!'],
  ['timestamp', 'timestamptz', 'infinity=infinity'],
  ['timestamptz', 'date', 'infinity=infinity -infinity=-infinity 2020-02-29T00:00:00+00=2020-02-29'],
  ['timestamp', 'date', '294276-12-31T00:00:00=294276-12-31 2020-01-01T00:00:00.000001=! 1969-12-31T23:59:59.999999=!'],
  ['uuid', 'utf8', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11=a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
]

test.for(CASES)('%s to %s: %s', ([from, to, pairs]) => {
  const [before, behind] = [0, 1].map((side) => pairs.split(' ').map((pair) => pair.split('=')[side] as string))
  // A null before each value: what lies under it must not be looked at.
  const { column, faults } = parse(
    typeOf(from),
    (before ?? []).flatMap((text) => [null, text]),
  )
  expect(faults).toEqual([])
  const builder = columnBuilder(typeOf(to), pool)
  const wrong = new Set<number>()
  castColumn(column, builder, pool, (row) => wrong.add(row))
  const texts = format(builder.finish()).map((text, row) => (wrong.has(row) ? '!' : text))
  expect(texts).toEqual((behind ?? []).flatMap((text) => [null, text]))
})

test('dates and timestamps of both kinds become each other', () => {
  expect(cast(columnOf({ kind: 'date' }, [18_262]), typeOf('timestamp'))).toEqual([1_577_836_800_000_000n])
  for (const zone of [true, false])
    expect(cast(columnOf({ kind: 'timestamp', zone }, [-5n, 7n]), { kind: 'timestamp', zone: !zone })).toEqual([
      -5n,
      7n,
    ])
})

test('every date that is a timestamp comes back', () => {
  const timestamp = typeOf('timestamp')
  // PostgreSQL's first and last.
  const days = fc.array(fc.integer({ min: -2_440_588, max: 106_757_034 }), { minLength: 1 })
  fc.assert(
    fc.property(days, (dates) => {
      const builder = columnBuilder(timestamp, pool)
      castColumn(columnOf({ kind: 'date' }, dates), builder, pool, (row) => expect.fail(`${dates[row]}`))
      expect(cast(builder.finish(), { kind: 'date' })).toEqual(dates)
    }),
  )
})

test('what lies under a null is no fault', () => {
  const values: Column = {
    layout: 'fixed',
    type: { kind: 'int32' },
    length: 2,
    validity: Uint8Array.of(0b10),
    values: Int32Array.of(9999, 1),
  }
  for (const to of ['int8', 'uint64', 'decimal(2,0)', 'float32', 'utf8', 'date']) {
    expect(cast(values, typeOf(to))[0]).toBeNull()
  }
})

describe('to the same type', () => {
  test.for(TEXT_TYPES.map(([type, values]) => [typeName(type), type, values] as const))(
    '%s is a copy',
    ([, type, values]) => {
      const rows = fc.sample(nullable(values), 50)
      const column = columnOf(type, rows)
      expect(cast(column, type)).toEqual(rows)
    },
  )

  test('native bytes are copied', () => {
    const type: LogicalType = { kind: 'native', vendor: 'postgres', type: 'tsvector' }
    const rows = [Uint8Array.of(1, 2), null, new Uint8Array(0)]
    expect(cast(columnOf(type, rows), type)).toEqual(rows)
  })

  test('a dictionary is resolved', () => {
    const dictionary = columnOf(utf8, ['1', '2'])
    if (dictionary.layout !== 'bytes') throw new Error('not bytes')
    const column: Column = {
      layout: 'dictionary',
      type: utf8,
      length: 3,
      validity: Uint8Array.of(0b011),
      indices: Int32Array.of(1, 0, 0),
      dictionary,
    }
    expect(cast(column, utf8)).toEqual(['2', '1', null])
    expect(cast(column, { kind: 'int32' })).toEqual([2, 1, null])
  })
})

describe('every value survives the way through text', () => {
  test.for(TEXT_TYPES.map(([type, values]) => [typeName(type), type, values] as const))('%s', ([, type, values]) => {
    const rows = fc.sample(nullable(values), 100)
    const column = columnOf(type, rows)
    const texts = cast(column, utf8) as (string | null)[]
    expect(texts).toEqual(format(column))
    expect(cast(columnOf(utf8, texts), type)).toEqual(rows)
  })
})

test('numbers agree with a naive twin', () => {
  const kinds = ['int8', 'int16', 'int32', 'uint8', 'uint16', 'uint32', 'int64', 'uint64'] as const
  const range = (kind: string): [bigint, bigint] => {
    const bits = BigInt(kind.replace(/\D/g, ''))
    return kind.startsWith('u') ? [0n, 2n ** bits - 1n] : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n]
  }
  const small = (kind: string, value: bigint): Value => (kind.endsWith('64') ? value : Number(value))
  fc.assert(
    fc.property(
      fc.constantFrom(...kinds),
      fc.constantFrom(...kinds),
      fc.array(fc.bigInt({ min: -(2n ** 64n), max: 2n ** 65n })),
      (from, to, all) => {
        const within = ([min, max]: [bigint, bigint], value: bigint): boolean => value >= min && value <= max
        const rows = all
          .flatMap((value, i) => [value >> BigInt(i), value])
          .filter((value) => within(range(from), value))
        const column = columnOf(
          { kind: from },
          rows.map((value) => small(from, value)),
        )
        expect(cast(column, { kind: to })).toEqual(
          rows.map((value) => (within(range(to), value) ? small(to, value) : 'fault')),
        )
        const decimal = rows.map((value) => (value <= 10n ** 12n && value >= -(10n ** 12n) ? value : 0n))
        const decimals = columnOf(
          { kind: 'decimal', precision: 15, scale: 2 },
          decimal.map((value) => value * 100n),
        )
        expect(cast(decimals, { kind: to })).toEqual(
          decimal.map((value) => (within(range(to), value) ? small(to, value) : 'fault')),
        )
      },
    ),
    { numRuns: 300 },
  )
})

describe('failures', () => {
  test('a type without a text form is refused', () => {
    const native = columnOf({ kind: 'native', vendor: 'postgres', type: 'tsvector' }, [Uint8Array.of(1)])
    const unsupported = expect.objectContaining({ code: 'unsupported' })
    expect(() => cast(native, { kind: 'int32' })).toThrow(unsupported)
    expect(() => cast(columnOf({ kind: 'int32' }, [1]), native.type)).toThrow(unsupported)
  })

  test('the scratch memory comes back, also then', () => {
    const own = new BufferPool(1e9)
    const builder = columnBuilder({ kind: 'int32' }, pool)
    castColumn(columnOf({ kind: 'uuid' }, ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']), builder, own, () => {})
    castColumn(columnOf({ kind: 'numeric' }, ['1']), builder, own, () => {})
    const native = columnOf({ kind: 'native', vendor: 'v', type: 't' }, [Uint8Array.of(1)])
    expect(() => castColumn(native, builder, own, () => {})).toThrow('no text form')
    expect(own.statistics.used).toBe(0)
    expect(own.statistics.misses).toBeGreaterThan(0)
  })
})
