import { writeText } from './write-digits.ts'

/** The digits of a positive number, without zeros at the end, and the power of ten of the first; or a special value. */
export interface Shortest {
  readonly minus: boolean
  readonly digits: string
  readonly exponent: number
}

/** JavaScript's shortest digits, but for the few that lie exactly between two doubles, which PostgreSQL avoids. */
export function shortestFloat64(value: number): Shortest {
  const shortest = scientific(value, Math.abs(value).toExponential())
  if (!(Math.abs(value) >= 2 ** 53) || !Number.isFinite(value) || !isBetween(shortest, value)) return shortest
  for (let digits = shortest.digits.length; digits < 17; digits++) {
    const longer = scientific(value, Math.abs(value).toExponential(digits - 1))
    if (Math.abs(value) === toNumber(longer) && !isBetween(longer, value)) return longer
  }
  return scientific(value, Math.abs(value).toExponential(16))
}

function scientific(value: number, text: string): Shortest {
  const minus = value < 0 || Object.is(value, -0)
  if (!Number.isFinite(value)) return { minus, digits: value === value ? 'Infinity' : 'NaN', exponent: NaN }
  const mark = text.indexOf('e')
  const digits = text.slice(0, mark).replace('.', '').replace(/0+$/, '')
  return { minus, digits, exponent: value === 0 ? 0 : Number(text.slice(mark + 1)) }
}

function toNumber(shortest: Shortest): number {
  return Number(`${shortest.digits}e${shortest.exponent - shortest.digits.length + 1}`)
}

/**
 * True when the decimal lies exactly in the middle between the double and its neighbour. Only decimals that are
 * integers can: below 2^53 the middle has more digits than the double.
 */
function isBetween(shortest: Shortest, value: number): boolean {
  const power = shortest.exponent - shortest.digits.length + 1
  if (power < 0 || power > 30) return false
  const decimal = BigInt(shortest.digits) * 10n ** BigInt(power)
  const double = BigInt(Math.abs(value))
  const distance = decimal > double ? decimal - double : double - decimal
  if (distance === 0n) return false
  // The neighbour on that side lies twice as far when the decimal is in the middle.
  const other = decimal > double ? double + 2n * distance : double - 2n * distance
  return BigInt(Number(other)) === other && Number(decimal) !== Number(other) && isNeighbour(double, other)
}

function isNeighbour(double: bigint, other: bigint): boolean {
  const middle = (double + other) / 2n
  const rounded = BigInt(Number(middle))
  return rounded === double || rounded === other
}

/** As `shortestFloat64`, for floats of 24 bits. */
export function shortestFloat32(value: number): Shortest {
  const size = Math.abs(value)
  if (!Number.isFinite(size) || size === 0) return scientific(value, '0e0')
  for (let digits = 1; digits < 9; digits++) {
    const shortest = scientific(value, size.toExponential(digits - 1))
    if (isStrictlyNearest(toNumber(shortest), size)) return shortest
  }
  return scientific(value, size.toExponential(8))
}

/** True when the decimal that `candidate` is the double of lies strictly inside the interval of the float `size`. */
function isStrictlyNearest(candidate: number, size: number): boolean {
  if (Math.fround(candidate) !== size) return false
  // Both neighbours of the decimal's double must read as the same float, else it is the middle between two.
  return candidate === size || !isMiddle(candidate, size)
}

function isMiddle(candidate: number, size: number): boolean {
  const other = 2 * candidate - size
  return Math.fround(other) === other && other !== size && (size + other) / 2 === candidate && isAdjacent(size, other)
}

function isAdjacent(a: number, b: number): boolean {
  const middle = (a + b) / 2
  const rounded = Math.fround(middle)
  return rounded === a || rounded === b
}

/** Writes the digits in PostgreSQL's layout: fixed notation for exponents from -4 up to below `fixedBelow`. */
export function writeShortest(data: Uint8Array, start: number, shortest: Shortest, fixedBelow: number): number {
  const { digits, exponent } = shortest
  if (digits === 'NaN') return writeText(data, start, digits)
  const at = shortest.minus ? writeText(data, start, '-') : start
  if (digits === '') return writeText(data, at, '0')
  if (digits === 'Infinity') return writeText(data, at, digits)
  if (exponent < -4 || exponent >= fixedBelow) {
    const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits
    const size = String(Math.abs(exponent)).padStart(2, '0')
    return writeText(data, at, `${mantissa}e${exponent < 0 ? '-' : '+'}${size}`)
  }
  if (exponent < 0) return writeText(data, at, `0.${'0'.repeat(-exponent - 1)}${digits}`)
  const padded = digits.padEnd(exponent + 1, '0')
  const whole = padded.slice(0, exponent + 1)
  return writeText(data, at, padded.length > whole.length ? `${whole}.${padded.slice(exponent + 1)}` : whole)
}
