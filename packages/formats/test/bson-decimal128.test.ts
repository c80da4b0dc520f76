import fc from 'fast-check'
import { expect, test } from 'vitest'
import { putDecimalText } from '../src/bson/encode-decimal128.ts'
import { exactDecimal } from './bson-decimal.ts'

function encoded(text: string): string | undefined {
  const bytes = Buffer.from(`9${text}9`)
  const out = Buffer.alloc(18, 0xee)
  const view = new DataView(out.buffer, out.byteOffset, out.length)
  const fits = putDecimalText(bytes, 1, bytes.length - 1, { view, at: 1 })
  expect([out[0], out[17]]).toEqual([0xee, 0xee])
  return fits ? out.subarray(1, 17).toString('hex') : undefined
}

/** Coefficient and exponent, by the arithmetic of the standard. */
function bits(coefficient: bigint, exponent: number, negative = false): string {
  const all = (BigInt(exponent + 6176) << 113n) | coefficient | (negative ? 1n << 127n : 0n)
  return Buffer.from(all.toString(16).padStart(32, '0'), 'hex').reverse().toString('hex')
}

const most = 10n ** 34n - 1n

test.each([
  ['0', bits(0n, 0)],
  ['-0', bits(0n, 0, true)],
  ['0.00', bits(0n, -2)],
  ['-0e+3', bits(0n, 3, true)],
  ['1.50', bits(150n, -2)],
  ['-001.50', bits(150n, -2, true)],
  ['+1', bits(1n, 0)],
  ['.5', bits(5n, -1)],
  ['5.', bits(5n, 0)],
  ['1E3', bits(1n, 3)],
  ['1e-3', bits(1n, -3)],
  ['12345678901234567890', bits(12345678901234567890n, 0)],
  [String(most), bits(most, 0)],
  [`-${most}e6111`, bits(most, 6111, true)],
  [`${most}e-6176`, bits(most, -6176)],
  ['1e6144', bits(10n ** 33n, 6111)],
  ['1.0e6145', undefined],
  ['12e6144', undefined],
  ['1e-6176', bits(1n, -6176)],
  ['10e-6177', bits(1n, -6176)],
  ['1e-6177', undefined],
  ['0e9999999999999999999', bits(0n, 6111)],
  ['0e-9999999999999999999', bits(0n, -6176)],
  ['1e99999999999999999999', undefined],
  ['1e-99999999999999999999', undefined],
  [`${most}0`, bits(most, 1)],
  [`1.${'0'.repeat(40)}`, bits(10n ** 33n, -33)],
  [`1.${'0'.repeat(40)}1`, undefined],
  [`${most}1`, undefined],
  [`0.${'0'.repeat(50)}1`, bits(1n, -51)],
  [`1${'0'.repeat(6144)}`, bits(10n ** 33n, 6111)],
  [`1${'0'.repeat(6145)}`, undefined],
  ['NaN', '0000000000000000000000000000007c'],
  ['-nan', '0000000000000000000000000000007c'],
  ['Infinity', '00000000000000000000000000000078'],
  ['inf', '00000000000000000000000000000078'],
  ['-INFINITY', '000000000000000000000000000000f8'],
  ['', undefined],
  ['-', undefined],
  ['.', undefined],
  ['e5', undefined],
  ['1e', undefined],
  ['1e+', undefined],
  ['1 ', undefined],
  ['1.2.3', undefined],
  ['1e5.0', undefined],
  ['--1', undefined],
  ['0x10', undefined],
  ['infinit', undefined],
  ['infinityy', undefined],
  ['infinity plus', undefined],
] as const)('%s', (text, expected) => {
  expect(encoded(text)).toBe(expected)
})

const digits = (most: number) => fc.string({ unit: fc.constantFrom(...Array.from('0123456789')), maxLength: most })
const zeros = fc.nat(38).map((count) => '0'.repeat(count))

/** Zeros go from the end, or are added, only where the text's own exponent cannot be. */
function twin(text: string): string | undefined {
  const [, sign, whole = '', fraction = '', power = '0'] = /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text) ?? []
  if (whole + fraction === '') return undefined
  let coefficient = BigInt(whole + fraction)
  let exponent = Number(power) - fraction.length
  if (coefficient === 0n) exponent = Math.max(-6176, Math.min(6111, exponent))
  for (; coefficient > most || exponent < -6176; exponent++) {
    if (coefficient % 10n !== 0n) return undefined
    coefficient /= 10n
  }
  for (; exponent > 6111; exponent--) coefficient *= 10n
  return coefficient > most ? undefined : bits(coefficient, exponent, sign === '-')
}

test('a text is its exact number, and what bson makes of it where that is exact', () => {
  const exponents = fc.oneof(
    fc.constant(''),
    fc.integer({ min: -60, max: 60 }).map((power) => `e${power}`),
    fc.integer({ min: -6230, max: -6130 }).map((power) => `E${power}`),
    fc.integer({ min: 6060, max: 6180 }).map((power) => `E+${power}`),
  )
  const signs = fc.constantFrom('', '-', '+')
  const parts = [signs, digits(20), zeros, fc.constantFrom('', '.'), zeros, digits(20), zeros, exponents]
  fc.assert(
    fc.property(fc.tuple(...parts), (all) => {
      const text = all.join('')
      const found = encoded(text)
      expect([text, found]).toEqual([text, twin(text)])
      const exact = exactDecimal(text)
      expect([text, exact ? Buffer.from(exact.bytes).toString('hex') : found]).toEqual([text, found])
    }),
    { numRuns: 2000 },
  )
})
