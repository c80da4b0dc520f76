import fc from 'fast-check'
import type { LogicalType, Value } from '@nebula/core'
import { DAY_MICROS, daysFromCivil } from '@nebula/core'

/** Not a number, as a decimal. */
export const DECIMAL_NAN = -(2n ** 127n)
/** Later, and earlier, than every other timestamp, in microseconds. */
export const TIMESTAMP_INFINITY = 2n ** 63n - 1n
export const TIMESTAMP_MINUS_INFINITY = -(2n ** 63n)

const FIRST_DAY = daysFromCivil(-4713, 11, 24)
const day = BigInt(DAY_MICROS)

const integers = (bits: number, signed: boolean): fc.Arbitrary<number> => {
  const min = signed ? -(2 ** (bits - 1)) : 0
  const max = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1
  return fc.oneof(
    fc.integer({ min, max }),
    fc.integer({ min: Math.max(min, -100), max: 100 }),
    fc.constantFrom(min, max),
  )
}

const bigIntegers = (min: bigint, max: bigint): fc.Arbitrary<bigint> =>
  fc.oneof(
    fc.bigInt({ min, max }),
    fc.bigInt({ min: min < -100n ? -100n : min, max: max > 100n ? 100n : max }),
    // Around the powers of two and ten where algorithms change.
    fc
      .tuple(fc.constantFrom(2n, 10n), fc.integer({ min: 0, max: 127 }), fc.bigInt({ min: -2n, max: 2n }), fc.boolean())
      .map(([base, exponent, shift, minus]) => (base ** BigInt(exponent) + shift) * (minus ? -1n : 1n))
      .filter((value) => value >= min && value <= max),
    // Around multiples of the groups of digits that are written.
    fc
      .tuple(fc.bigInt({ min: min / 10n ** 8n, max: max / 10n ** 8n }), fc.bigInt({ min: -1n, max: 1n }))
      .map(([groups, shift]) => groups * 10n ** 8n + shift)
      .filter((value) => value >= min && value <= max),
    fc.constantFrom(min, max),
  )

const decimals = (precision: number): fc.Arbitrary<bigint> => {
  const most = 10n ** BigInt(precision) - 1n
  return fc.oneof({ weight: 20, arbitrary: bigIntegers(-most, most) }, fc.constant(DECIMAL_NAN))
}

/** Timestamps up to the year 294276, which wrap around past 294247. */
const timestamps = fc.oneof(
  fc.bigInt({ min: 0n, max: 4_102_444_800_000_000n }),
  fc
    .bigInt({ min: BigInt(FIRST_DAY) * day, max: BigInt(daysFromCivil(294_277, 1, 1)) * day - 1n })
    .filter((micros) => micros !== 2n ** 63n - 1n && micros !== 2n ** 63n)
    .map((micros) => BigInt.asIntN(64, micros)),
  fc.constantFrom(TIMESTAMP_INFINITY, TIMESTAMP_MINUS_INFINITY, 0n, -1n, 2n ** 63n - 2n, -(2n ** 63n) + 1n),
)

const dates = fc.oneof(
  fc.integer({ min: 0, max: 25_000 }),
  fc.integer({ min: FIRST_DAY, max: daysFromCivil(5_874_897, 12, 31) }),
  fc.constantFrom(0x7fffffff, -0x80000000, FIRST_DAY, -1, daysFromCivil(0, 12, 31), daysFromCivil(1, 1, 1)),
)

const shortDecimals = fc
  .tuple(fc.integer({ min: -(10 ** 9), max: 10 ** 9 }), fc.integer({ min: -6, max: 12 }))
  .map(([digits, exponent]) => Number(`${digits}e${-exponent}`))

const doubles = fc.oneof(fc.double(), shortDecimals, fc.constantFrom(5e-324, 1e23, 2 ** 53 + 2, 1e15, 1e-4, 9.5e-5))
const floats = fc.oneof(
  fc.float(),
  shortDecimals.map(Math.fround),
  fc.constantFrom(2 ** -149, 2 ** -12, 1e6, 9.9999e-5).map(Math.fround),
)

const intervals = fc.record({
  months: integers(32, true),
  days: integers(32, true),
  micros: bigIntegers(-(2n ** 63n), 2n ** 63n - 1n),
})

const numerics = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.bigInt({ min: 0n, max: 10n ** 60n }),
    fc.constantFrom('', '.5', '.000', '.10', 'e12'),
  )
  .map((parts) => parts.join(''))

const SURROGATES = 0xd800
const SURROGATE_COUNT = 0x800

/** Any character. The unit `binary` of fast-check makes a table of all of them first, which takes seconds. */
const character = fc.integer({ min: 0, max: 0x10ffff - SURROGATE_COUNT }).map(
  (index) => String.fromCodePoint(index < SURROGATES ? index : index + SURROGATE_COUNT),
  (text) => {
    const [only = '', ...more] = typeof text === 'string' ? text : ''
    const point = only.codePointAt(0)
    if (point === undefined || more.length > 0) throw new Error('It is no character.')
    return point < SURROGATES ? point : point - SURROGATE_COUNT
  },
)

const bytes = fc.uint8Array({ maxLength: 80 })
const json = fc.json()

/** Every type with a text form, and generators of its values, extremes included, as `valueAt` gives them. */
export const TEXT_TYPES: readonly (readonly [LogicalType, fc.Arbitrary<Value>])[] = [
  [{ kind: 'bool' }, fc.boolean()],
  [{ kind: 'int8' }, integers(8, true)],
  [{ kind: 'int16' }, integers(16, true)],
  [{ kind: 'int32' }, integers(32, true)],
  [{ kind: 'uint8' }, integers(8, false)],
  [{ kind: 'uint16' }, integers(16, false)],
  [{ kind: 'uint32' }, integers(32, false)],
  [{ kind: 'int64' }, bigIntegers(-(2n ** 63n), 2n ** 63n - 1n)],
  [{ kind: 'uint64' }, bigIntegers(0n, 2n ** 64n - 1n)],
  [{ kind: 'float32' }, floats],
  [{ kind: 'float64' }, doubles],
  ...(
    [
      [1, 0],
      [9, 2],
      [15, 2],
      [18, 8],
      [18, 18],
      [19, 0],
      [20, 9],
      [38, 0],
      [38, 10],
      [38, 18],
      [38, 37],
      [38, 38],
    ] as const
  ).map(([precision, scale]) => [{ kind: 'decimal', precision, scale }, decimals(precision)] as const),
  [{ kind: 'numeric' }, fc.oneof(numerics, fc.constantFrom('NaN', 'Infinity', '-Infinity'))],
  [{ kind: 'utf8' }, fc.oneof(fc.string({ unit: character, maxLength: 100 }), fc.string({ maxLength: 100 }))],
  [{ kind: 'json' }, json],
  [{ kind: 'binary' }, bytes],
  [{ kind: 'date' }, dates],
  [{ kind: 'time' }, fc.bigInt({ min: 0n, max: day })],
  [{ kind: 'timestamp', zone: false }, timestamps],
  [{ kind: 'timestamp', zone: true }, timestamps],
  [{ kind: 'interval' }, intervals],
  [{ kind: 'uuid' }, fc.uuid()],
]

/** A value or, now and then, null. */
export function nullable(values: fc.Arbitrary<Value>): fc.Arbitrary<Value> {
  return fc.option(values, { nil: null, freq: 6 })
}
