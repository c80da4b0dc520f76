import type { BsonOutput } from './bson-output.ts'
import { ascii, putBase64, putObjectId, putLong } from './bson-values.ts'
import * as t from './elements.ts'
import { putDecimalText } from './encode-decimal128.ts'

/**
 * Objects of Extended JSON that stand for a value of another type, as documents that were just parsed: from `start` to
 * the output's size. Appends the value; returns its type, 0 when the document is none of the wrapper.
 */
export type Unwrap = (out: BsonOutput, start: number) => number

/** The wrapper that a key in `bytes` belongs to. A document of which any key does is not what a text says of it. */
export function wrapperOf(bytes: Uint8Array, start: number, end: number): Unwrap | undefined {
  return end - start > LONGEST ? undefined : WRAPPERS.get(ascii(bytes, start, end))
}

interface Member {
  readonly key: string
  readonly type: number
  readonly at: number
  readonly end: number
}

const LONGEST = 18

/** The elements of a document; none when there are more than two, or their keys are none of a wrapper. */
function membersOf(out: BsonOutput, start: number): Member[] {
  const { bytes, view } = out
  const last = start + view.getInt32(start, true) - 1
  const members: Member[] = []
  for (let at = start + 4; at < last && members.length < 3;) {
    const type = bytes[at] as number
    const name = t.nameEnd(bytes, at + 1, last)
    const end = name < 0 ? -1 : t.valueEnd(out, type, name + 1, last)
    if (end < 0 || name - at > LONGEST + 1) return []
    members.push({ key: ascii(bytes, at + 1, name), type, at: name + 1, end })
    at = end
  }
  return members
}

/** The values of a document of exactly these keys, in their order; of these types. */
function values(out: BsonOutput, start: number, expected: Readonly<Record<string, number>>): Member[] | undefined {
  const members = membersOf(out, start)
  const keys = Object.keys(expected)
  if (members.length !== keys.length) return undefined
  const found = keys.map((key) => members.find((member) => member.key === key && member.type === expected[key]))
  return found.every((member) => member !== undefined) ? found : undefined
}

/** A wrapper of one string: `write` gets where its bytes are, and returns the type of what it appended. */
function ofString(key: string, write: (out: BsonOutput, start: number, end: number) => number): Unwrap {
  return (out, start) => {
    const [value] = values(out, start, { [key]: t.STRING }) ?? []
    if (!value) return 0
    out.ensure(out.size, value.end - value.at + 16)
    return write(out, value.at + 4, value.end - 1)
  }
}

/** Appends bytes of the output itself. */
function copy(out: BsonOutput, start: number, end: number): void {
  out.ensure(out.size, end - start)
  out.bytes.copyWithin(out.size, start, end)
  out.size += end - start
}

/** The string of a value, which is short and ASCII where it is valid. */
const stringOf = (out: BsonOutput, start: number, end: number): string =>
  ascii(out.bytes, start, Math.min(end, start + 64))

function objectId(out: BsonOutput, start: number, end: number): number {
  if (end - start !== 24 || !putObjectId(out.bytes, start, out.bytes, out.size)) return 0
  out.size += 12
  return t.OBJECT_ID
}

function symbol(out: BsonOutput, start: number, end: number): number {
  copy(out, start - 4, end + 1)
  return t.SYMBOL
}

function int(out: BsonOutput, start: number, end: number): number {
  const value = integer(stringOf(out, start, end))
  if (value === undefined || BigInt.asIntN(32, value) !== value) return 0
  out.view.setInt32(out.size, Number(value), true)
  out.size += 4
  return t.INT
}

function long(out: BsonOutput, start: number, end: number): number {
  const value = integer(stringOf(out, start, end))
  if (value === undefined || BigInt.asIntN(64, value) !== value) return 0
  out.view.setBigInt64(out.size, value, true)
  out.size += 8
  return t.LONG
}

const integer = (text: string): bigint | undefined => (/^-?\d{1,20}$/.test(text) ? BigInt(text) : undefined)

function double(out: BsonOutput, start: number, end: number): number {
  const text = ascii(out.bytes, start, end)
  const isSpecial = text === 'NaN' || text === 'Infinity' || text === '-Infinity'
  const value = Number(text)
  if (!isSpecial && (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) || !Number.isFinite(value))) return 0
  out.view.setFloat64(out.size, value, true)
  out.size += 8
  return t.DOUBLE
}

function decimal(out: BsonOutput, start: number, end: number): number {
  if (!putDecimalText(out.bytes, start, end, { view: out.view, at: out.size })) return 0
  out.size += 16
  return t.DECIMAL
}

function uuid(out: BsonOutput, start: number, end: number): number {
  const hex = stringOf(out, start, end)
  if (!/^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i.test(hex) && !/^[\da-f]{32}$/i.test(hex)) return 0
  out.view.setInt32(out.size, 16, true)
  out.bytes[out.size + 4] = t.UUID
  for (let i = 0, digit = 0; i < 16; i++, digit += 2) {
    if (hex[digit] === '-') digit++
    out.bytes[out.size + 5 + i] = Number.parseInt(hex.slice(digit, digit + 2), 16)
  }
  out.size += 21
  return t.BINARY
}

function binary(out: BsonOutput, start: number): number {
  const [outer] = values(out, start, { $binary: t.OBJECT }) ?? []
  const [base64, subType] = outer ? (values(out, outer.at, { base64: t.STRING, subType: t.STRING }) ?? []) : []
  if (!base64 || !subType) return 0
  const hex = stringOf(out, subType.at + 4, subType.end - 1)
  if (!/^[\da-f]{1,2}$/i.test(hex)) return 0
  const type = Number.parseInt(hex, 16)
  const head = type === t.OLD_BINARY ? 9 : 5
  out.ensure(out.size, head + base64.end - base64.at)
  const to = out.size + head
  const end = putBase64(out.bytes, base64.at + 4, base64.end - 1, to)
  if (end < 0) return 0
  out.view.setInt32(out.size, end - out.size - 5, true)
  out.bytes[out.size + 4] = type
  if (type === t.OLD_BINARY) out.view.setInt32(out.size + 5, end - to, true)
  out.size = end
  return t.BINARY
}

function code(out: BsonOutput, start: number): number {
  const [only] = values(out, start, { $code: t.STRING }) ?? []
  if (only) {
    copy(out, only.at, only.end)
    return t.CODE
  }
  const [text, scope] = values(out, start, { $code: t.STRING, $scope: t.OBJECT }) ?? []
  if (!text || !scope) return 0
  const at = out.size
  out.ensure(at, 4)
  out.size += 4
  copy(out, text.at, text.end)
  copy(out, scope.at, scope.end)
  out.view.setInt32(at, out.size - at, true)
  return t.CODE_WITH_SCOPE
}

function timestamp(out: BsonOutput, start: number): number {
  const [outer] = values(out, start, { $timestamp: t.OBJECT }) ?? []
  const members = outer ? membersOf(out, outer.at) : []
  const increment = unsigned(
    out,
    members.find(({ key }) => key === 'i'),
  )
  const seconds = unsigned(
    out,
    members.find(({ key }) => key === 't'),
  )
  if (members.length !== 2 || increment < 0 || seconds < 0) return 0
  out.ensure(out.size, 8)
  out.view.setUint32(out.size, increment, true)
  out.view.setUint32(out.size + 4, seconds, true)
  out.size += 8
  return t.TIMESTAMP
}

/** An integer from 0 to 2^32 - 1; -1 for anything else. */
function unsigned({ view }: BsonOutput, member: Member | undefined): number {
  if (member?.type === t.INT) return Math.max(-1, view.getInt32(member.at, true))
  if (member?.type !== t.LONG || view.getInt32(member.at + 4, true) !== 0) return -1
  return view.getUint32(member.at, true)
}

function regex(out: BsonOutput, start: number): number {
  const [outer] = values(out, start, { $regularExpression: t.OBJECT }) ?? []
  const parts = outer && values(out, outer.at, { pattern: t.STRING, options: t.STRING })
  if (!parts) return 0
  for (const { at, end } of parts) {
    if (t.nameEnd(out.bytes, at + 4, end) !== end - 1) return 0
    copy(out, at + 4, end)
  }
  return t.REGEX
}

function dbPointer(out: BsonOutput, start: number): number {
  const [outer] = values(out, start, { $dbPointer: t.OBJECT }) ?? []
  const parts = outer && values(out, outer.at, { $ref: t.STRING, $id: t.OBJECT_ID })
  if (!parts) return 0
  for (const { at, end } of parts) copy(out, at, end)
  return t.DB_POINTER
}

/** Milliseconds, or a time of RFC 3339. Milliseconds as plain digits past int32 are taken, too. */
function date(out: BsonOutput, start: number): number {
  const [value] = values(out, start, { $date: t.LONG }) ?? values(out, start, { $date: t.STRING }) ?? []
  if (!value) return 0
  if (value.type === t.LONG) {
    copy(out, value.at, value.end)
    return t.DATE
  }
  const millis = epochMillis(stringOf(out, value.at + 4, value.end - 1))
  if (Number.isNaN(millis)) return 0
  out.ensure(out.size, 8)
  putLong(out.view, out.size, millis)
  out.size += 8
  return t.DATE
}

const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,3})0*)?(?:Z|([+-])(\d\d):?(\d\d))$/i

/** Milliseconds since 1970 of a time that exists; NaN for other texts. */
function epochMillis(text: string): number {
  const [, year, month, day, hour, minute, second, fraction = '', sign, offsetHours, offsetMinutes] =
    TIME.exec(text) ?? []
  const clock = `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, '0')}Z`
  const millis = Date.parse(clock)
  if (Number.isNaN(millis) || new Date(millis).toISOString() !== clock) return Number.NaN
  if (sign === undefined) return millis
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * 60_000
  return sign === '-' ? millis + offset : millis - offset
}

/** A wrapper that says all by its key. */
function constant(key: string, type: number, valueType: number): Unwrap {
  return (out, start) => {
    const [value] = values(out, start, { [key]: valueType }) ?? []
    return value && out.bytes[value.at] === 1 ? type : 0
  }
}

/** The type's byte and the value's bytes, which must be as long as they say. */
function exactBytes(out: BsonOutput, start: number): number {
  const [outer] = values(out, start, { $bson: t.OBJECT }) ?? []
  const [base64] = outer ? (values(out, outer.at, { base64: t.STRING }) ?? []) : []
  if (!base64) return 0
  const at = out.size
  out.ensure(at, base64.end - base64.at)
  const end = putBase64(out.bytes, base64.at + 4, base64.end - 1, at)
  const type = end > at ? (out.bytes[at] as number) : 0
  if (type === 0 || t.valueEnd(out, type, at + 1, end) !== end) return 0
  out.bytes.copyWithin(at, at + 1, end)
  out.size = end - 1
  return type
}

const WRAPPERS: ReadonlyMap<string, Unwrap> = new Map([
  ['$oid', ofString('$oid', objectId)],
  ['$symbol', ofString('$symbol', symbol)],
  ['$numberInt', ofString('$numberInt', int)],
  ['$numberLong', ofString('$numberLong', long)],
  ['$numberDouble', ofString('$numberDouble', double)],
  ['$numberDecimal', ofString('$numberDecimal', decimal)],
  ['$uuid', ofString('$uuid', uuid)],
  ['$binary', binary],
  ['$code', code],
  ['$timestamp', timestamp],
  ['$regularExpression', regex],
  ['$dbPointer', dbPointer],
  ['$date', date],
  ['$minKey', constant('$minKey', t.MIN_KEY, t.INT)],
  ['$maxKey', constant('$maxKey', t.MAX_KEY, t.INT)],
  ['$undefined', constant('$undefined', t.UNDEFINED, t.BOOL)],
  ['$bson', exactBytes],
])
