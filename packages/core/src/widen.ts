import type { Kind, LogicalType } from './types.ts'

/** Bits of an integer beside its sign. */
const INTEGERS: { readonly [kind in Kind]?: { readonly bits: number; readonly signed: boolean } } = {
  int8: { bits: 7, signed: true },
  int16: { bits: 15, signed: true },
  int32: { bits: 31, signed: true },
  int64: { bits: 63, signed: true },
  uint8: { bits: 8, signed: false },
  uint16: { bits: 16, signed: false },
  uint32: { bits: 32, signed: false },
  uint64: { bits: 64, signed: false },
}
/** Bits of an integer that a binary fraction holds. */
const MANTISSAS: { readonly [kind in Kind]?: number } = { float32: 24, float64: 53 }

/** True when every value of `from` is a value of `to`, which is another type. */
export function widens(from: LogicalType, to: LogicalType): boolean {
  if (to.kind === 'utf8') return from.kind !== 'list' && from.kind !== 'struct'
  if (to.kind === 'timestamp') return from.kind === 'date' && !to.zone
  const integer = INTEGERS[from.kind]
  const larger = INTEGERS[to.kind]
  const mantissa = MANTISSAS[to.kind]
  if (larger) return integer !== undefined && integer.bits <= larger.bits && (larger.signed || !integer.signed)
  if (mantissa !== undefined) return from.kind === 'float32' || (integer !== undefined && integer.bits <= mantissa)
  const needed = digits(from)
  const room = digits(to)
  return needed !== undefined && room !== undefined && needed[0] <= room[0] && needed[1] <= room[1]
}

/** Digits before the point and behind it that an exact number may have. */
function digits(type: LogicalType): readonly [whole: number, fraction: number] | undefined {
  if (type.kind === 'decimal') return [type.precision - type.scale, type.scale]
  if (type.kind === 'numeric') return [Infinity, Infinity]
  const integer = INTEGERS[type.kind]
  return integer && [Math.ceil(integer.bits * Math.log10(2)), 0]
}
