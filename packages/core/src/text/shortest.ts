import { writeText } from './write-digits.ts'

/**
 * The floats that have no short way: the shortest digits that lie strictly nearer to the float than to any other, the
 * nearest of those, and the even one of two (Ulf Adams, "Ryū", without its accepted bounds, as PostgreSQL has it).
 */

/** Writes a float64 in PostgreSQL's layout. */
export function writeFloat64(view: DataView, at: number, value: number): number {
  const size = Math.abs(value)
  // Here JavaScript's digits and layout are PostgreSQL's: a decimal in the middle of two doubles is at least 2^53.
  if ((size >= 1e-4 && size < 1e15) || !Number.isFinite(value)) return writeText(view, at, String(value))
  if (size === 0) return writeText(view, at, Object.is(value, -0) ? '-0' : '0')
  const text = size.toExponential()
  const exact = size < 2 ** 53 || !isMiddle(text, size) ? text : exponential(shortest(partsOf64(size), size))
  return writeText(view, at, (value < 0 ? '-' : '') + withTwoDigits(exact))
}

/** Writes a float32 in PostgreSQL's layout. */
export function writeFloat32(view: DataView, at: number, value: number): number {
  const size = Math.abs(value)
  if (!Number.isFinite(value)) return writeText(view, at, String(value))
  if (size === 0) return writeText(view, at, Object.is(value, -0) ? '-0' : '0')
  return writeExponential(view, at, value, shortest(partsOf32(size), size))
}

/** Writes digits with an exponent. */
export function writeExponential(view: DataView, at: number, value: number, decimal: Decimal): number {
  return writeText(view, at, (value < 0 ? '-' : '') + withTwoDigits(exponential(decimal)))
}

/** `digits / 10 ** places`. */
export interface Decimal {
  readonly digits: string
  readonly places: number
}

function exponential({ digits, places }: Decimal): string {
  const significant = digits.replace(/0+$/, '')
  const exponent = digits.length - 1 - places
  const mantissa = significant.length > 1 ? `${significant[0]}.${significant.slice(1)}` : significant
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${Math.abs(exponent)}`
}

/** PostgreSQL writes at least two digits of an exponent. */
function withTwoDigits(text: string): string {
  return text.replace(/e([-+])(\d)$/, 'e$10$2')
}

/** True when the decimal lies exactly between `size` and another double: then JavaScript took it and PostgreSQL does not. */
function isMiddle(text: string, size: number): boolean {
  const [mantissa, exponent] = text.split('e') as [string, string]
  const digits = mantissa.replace('.', '')
  const power = Number(exponent) - digits.length + 1
  // A middle is an odd number of at most 54 bits times a power of two; above 5 ** 23 no decimal is.
  if (power < 0 || power > 23) return false
  const other = 2n * BigInt(digits) * 10n ** BigInt(power) - BigInt(size)
  return other !== BigInt(size) && BigInt(Number(other)) === other
}

/** A float as `fraction * 2 ** exponent`. `narrow`: the float below is nearer than the one above, a power of two. */
interface Parts {
  readonly fraction: bigint
  readonly exponent: number
  readonly narrow: boolean
}

const bits = new DataView(new ArrayBuffer(8))

function partsOf64(size: number): Parts {
  bits.setFloat64(0, size)
  const word = bits.getBigUint64(0)
  const mantissa = word & 0xfffffffffffffn
  const biased = Number(word >> 52n)
  return biased === 0
    ? { fraction: mantissa, exponent: -1074, narrow: false }
    : { fraction: mantissa | (1n << 52n), exponent: biased - 1075, narrow: mantissa === 0n && biased > 1 }
}

function partsOf32(size: number): Parts {
  bits.setFloat32(0, size)
  const word = bits.getUint32(0)
  const mantissa = word & 0x7fffff
  const biased = word >>> 23
  return biased === 0
    ? { fraction: BigInt(mantissa), exponent: -149, narrow: false }
    : { fraction: BigInt(mantissa | 0x800000), exponent: biased - 150, narrow: mantissa === 0 && biased > 1 }
}

/** Tries ever more digits, in exact arithmetic: first those below the float, and those above it. */
function shortest({ fraction, exponent, narrow }: Parts, size: number): Decimal {
  const first = Number(size.toExponential().split('e')[1])
  for (let count = 1; ; count++) {
    const places = count - 1 - first
    const factor = power(10n, places) * power(2n, exponent - 2)
    const divisor = power(10n, -places) * power(2n, 2 - exponent)
    const scaled = 4n * fraction * factor
    const below = scaled / divisor
    const toBelow = scaled - below * divisor
    const toAbove = divisor - toBelow
    const isBelow = toBelow < (narrow ? 1n : 2n) * factor
    const isAbove = toAbove < 2n * factor
    if (!isBelow && !isAbove) continue
    const nearer = toBelow < toAbove || (toBelow === toAbove && below % 2n === 0n)
    return { digits: String(isBelow && (nearer || !isAbove) ? below : below + 1n), places }
  }
}

function power(base: bigint, exponent: number): bigint {
  return base ** BigInt(Math.max(0, exponent))
}
