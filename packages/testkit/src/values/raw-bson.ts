/** BSON as bytes (bsonspec.org), made without any BSON library: also what such a library would not write. */

/** One value: its type's byte, and its bytes. */
export interface RawValue {
  readonly type: number
  readonly bytes: Buffer
}

/** One element: its name's bytes without the NUL, and its value. */
export interface RawElement extends RawValue {
  readonly name: Buffer
}

export const int32 = (value: number): Buffer => {
  const out = Buffer.alloc(4)
  out.writeInt32LE(value)
  return out
}

export const int64 = (value: bigint): Buffer => {
  const out = Buffer.alloc(8)
  out.writeBigInt64LE(BigInt.asIntN(64, value))
  return out
}

export const double = (value: number): Buffer => {
  const out = Buffer.alloc(8)
  out.writeDoubleLE(value)
  return out
}

/** Of a decimal128 (IEEE 754, binary integer significand): a coefficient below 2^113, and its exponent. */
export function decimal128(coefficient: bigint, exponent: number, negative = false): Buffer {
  const bits = (BigInt(exponent + 6176) << 113n) | coefficient | (negative ? 1n << 127n : 0n)
  return Buffer.concat([int64(BigInt.asIntN(64, bits)), int64(BigInt.asIntN(64, bits >> 64n))])
}

export const string = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([int32(bytes.length + 1), bytes, Buffer.of(0)])
}

export const cstring = (value: string | Buffer): Buffer => Buffer.concat([Buffer.from(value), Buffer.of(0)])

export const binary = (subtype: number, bytes: Buffer): Buffer =>
  Buffer.concat([int32(bytes.length), Buffer.of(subtype), bytes])

export const codeWithScope = (code: string | Buffer, scope: Buffer): Buffer => {
  const text = string(code)
  return Buffer.concat([int32(4 + text.length + scope.length), text, scope])
}

export const element = (name: string | Buffer, type: number, bytes: Buffer): RawElement => ({
  name: Buffer.from(name),
  type,
  bytes,
})

export function document(elements: readonly RawElement[]): Buffer {
  const body = elements.flatMap(({ name, type, bytes }) => [Buffer.of(type), cstring(name), bytes])
  const length = body.reduce((sum, part) => sum + part.length, 5)
  return Buffer.concat([int32(length), ...body, Buffer.of(0)])
}

export const array = (values: readonly RawValue[]): Buffer =>
  document(values.map((value, index) => ({ ...value, name: Buffer.from(String(index)) })))
