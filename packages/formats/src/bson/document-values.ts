import type { Column, FixedArray } from '@nebula/core'
import { formatColumn, NebulaError, viewOf, wrapsAround } from '@nebula/core'
import { columnArray } from '../column-array.ts'
import type { BsonOutput } from './bson-output.ts'
import { putObjectId, putIndex, putLong } from './bson-values.ts'
import type { FieldPlan } from './document-plan.ts'
import * as code from './document-plan.ts'
import * as t from './elements.ts'
import { putDecimalText, putDecimalWords, putUnsigned } from './encode-decimal128.ts'
import type { ExtendedJsonParser } from './extended-json-parser.ts'

/** A column as arrays of the same classes whatever it is, so that the loop sees one shape of everything. */
export interface FieldSource {
  readonly plan: FieldPlan
  readonly code: number
  readonly head: Int32Array
  readonly headBytes: number
  readonly validity: Uint8Array | null
  /** Words of the values, offsets of a bytes column or a list, or indices of a dictionary. */
  readonly words: Int32Array
  readonly bytes: Uint8Array
  /** Of `bytes`. */
  readonly view: DataView
  readonly scale: number
  /** The row that is the first in `words`. */
  readonly base: number
  readonly dictionary: FieldSource | undefined
  readonly children: readonly FieldSource[]
}

/** What the functions below write to, and what they leave beside the bytes. */
export interface DocumentSink {
  readonly out: BsonOutput
  readonly parser: ExtendedJsonParser
  /** The type of the value of Extended JSON that was written last. */
  type: number
  /** Of the value that was refused. */
  column: string
  reason: string
}

/** In place of an end: the value cannot be written. */
export const REFUSED = -1

const NOTHING = new Int32Array(0)
const NO_BYTES = new Uint8Array(0)
const NO_VIEW = new DataView(NO_BYTES.buffer)

/** The rows of a batch that are written. */
export interface Rows {
  readonly from: number
  readonly to: number
}

/** Turns a plan to the columns of one batch. */
export function sourceOf(plan: FieldPlan, columnAt: (index: number) => Column, rows: Rows): FieldSource {
  if (plan.code !== code.GROUP) return columnSource(plan, columnAt(plan.index), rows)
  const children = plan.children.map((child) => sourceOf(child, columnAt, rows))
  return { ...source(plan, NO_BYTES), children }
}

function columnSource(plan: FieldPlan, column: Column, rows: Rows): FieldSource {
  if (plan.text) return textSource(plan, column, rows)
  const values = columnArray(column)
  const own = source(plan, column.layout === 'bytes' ? column.data : values)
  const words = new Int32Array(values.buffer, values.byteOffset, values.byteLength >> 2)
  const scale = column.type.kind === 'decimal' ? column.type.scale : 0
  const { validity } = column
  if (column.layout === 'dictionary')
    return { ...own, validity, words, dictionary: columnSource(plan, column.dictionary, rows) }
  return { ...own, validity, words, scale, children: childrenOf(plan, column, rows) }
}

function textSource(plan: FieldPlan, column: Column, { from, to }: Rows): FieldSource {
  const { text } = plan
  if (!text) throw new NebulaError('internal', { message: `Column ${plan.column} has no place for its texts.` })
  formatColumn(column, text, from, to)
  const { data, offsets } = text.finish()
  return { ...source(plan, data), validity: column.validity, words: offsets, base: from }
}

function childrenOf(plan: FieldPlan, column: Column, rows: Rows): FieldSource[] {
  if (column.layout === 'list') {
    const inner = { from: column.offsets[rows.from] as number, to: column.offsets[rows.to] as number }
    return plan.children.map((child) => columnSource(child, column.child, inner))
  }
  if (column.layout !== 'struct') return []
  return plan.children.map((child, i) => columnSource(child, column.children[i] as Column, rows))
}

function source(plan: FieldPlan, values: Uint8Array | FixedArray): FieldSource {
  const { code: own, head, headBytes } = plan
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return {
    plan,
    code: own,
    head,
    headBytes,
    validity: null,
    words: NOTHING,
    bytes,
    view: values === NO_BYTES ? NO_VIEW : viewOf(bytes),
    scale: 0,
    base: 0,
    dictionary: undefined,
    children: [],
  }
}

/** True when a field has something to write in a row; a group, when one of its columns has. */
export function hasValue(field: FieldSource, row: number): boolean {
  if (field.code === code.GROUP) return field.children.some((child) => hasValue(child, row))
  const { validity } = field
  return validity === null || ((validity[row >> 3] as number) & (1 << (row & 7))) !== 0
}

/** Writes a field to `at`, where there is room for all but texts; returns its end, `REFUSED` for what cannot be. */
export function putField(field: FieldSource, row: number, sink: DocumentSink, at: number): number {
  const { validity, head } = field
  const isNull = validity !== null && ((validity[row >> 3] as number) & (1 << (row & 7))) === 0
  if (isNull && !field.plan.writesNull) return at
  const { view } = sink.out
  for (let i = 0, to = at; i < head.length; i++, to += 4) view.setInt32(to, head[i] as number, true)
  const start = at + field.headBytes
  if (isNull) {
    view.setUint8(at, t.NULL)
    return start
  }
  if (field.code === code.GROUP) return putGroup(field, row, sink, at)
  const end = putValue(field, row, sink, start)
  if (end < 0) return refuse(field, sink)
  if (field.code === code.EXTENDED) sink.out.bytes[at] = sink.type
  return end
}

function refuse({ plan }: FieldSource, sink: DocumentSink): typeof REFUSED {
  sink.column = plan.column
  return REFUSED
}

/** A document of the columns that have a value; without any, nothing. */
function putGroup(field: FieldSource, row: number, sink: DocumentSink, at: number): number {
  const start = at + field.headBytes
  const end = putFields(field, row, sink, start)
  return end === start + 5 ? at : end
}

function putFields({ children }: FieldSource, row: number, sink: DocumentSink, at: number): number {
  let end = at + 4
  for (let i = 0; i < children.length; i++) {
    end = putField(children[i] as FieldSource, row, sink, end)
    if (end < 0) return end
  }
  sink.out.bytes[end++] = 0
  sink.out.view.setInt32(at, end - at, true)
  return end
}

/** Writes a value, which is not null, as `putField` does. */
export function putValue(field: FieldSource, row: number, sink: DocumentSink, at: number): number {
  const { words } = field
  const { view, bytes } = sink.out
  if (field.dictionary) return putValue(field.dictionary, words[row] as number, sink, at)
  switch (field.code) {
    case code.BOOL:
      bytes[at] = ((field.bytes[row >> 3] as number) >> (row & 7)) & 1
      return at + 1
    case code.INT32:
      view.setInt32(at, words[row] as number, true)
      return at + 4
    case code.INT64:
    case code.FLOAT64:
      view.setInt32(at, words[row * 2] as number, true)
      view.setInt32(at + 4, words[row * 2 + 1] as number, true)
      return at + 8
    case code.STRING:
      return putString(field, row - field.base, sink.out, at)
    case code.TIMESTAMP:
      return putTimestamp(words[row * 2] as number, words[row * 2 + 1] as number, sink, at)
    case code.DATE:
      return putDate(words[row] as number, sink, at)
    case code.LIST:
      return putList(field, row, sink, at)
    case code.STRUCT:
      return putFields(field, row, sink, at)
    case code.EXTENDED:
      return putExtended(field, row, sink, at)
    default:
      return putRare(field, row, sink, at)
  }
}

function putRare(field: FieldSource, row: number, sink: DocumentSink, at: number): number {
  const { words } = field
  const { view } = sink.out
  switch (field.code) {
    case code.FLOAT32:
      view.setFloat64(at, field.view.getFloat32(row * 4, true), true)
      return at + 8
    case code.BINARY:
      return putBinary(field, row, sink.out, at)
    case code.UUID:
      view.setInt32(at, 16, true)
      sink.out.bytes[at + 4] = t.UUID
      for (let i = 0; i < 4; i++) view.setInt32(at + 5 + i * 4, words[row * 4 + i] as number, true)
      return at + 21
    case code.INT8:
    case code.UINT8:
      view.setInt32(at, field.code === code.INT8 ? field.view.getInt8(row) : field.view.getUint8(row), true)
      return at + 4
    case code.INT16:
      view.setInt32(at, field.view.getInt16(row * 2, true), true)
      return at + 4
    case code.UINT16:
      view.setInt32(at, field.view.getUint16(row * 2, true), true)
      return at + 4
    case code.UINT32:
      view.setInt32(at, words[row] as number, true)
      view.setInt32(at + 4, 0, true)
      return at + 8
    case code.OBJECT_ID:
    case code.HEX_ID:
      return putIdentifier(field, row, sink, at)
    default:
      return putDecimal(field, row, sink, at)
  }
}

function putDecimal(field: FieldSource, row: number, sink: DocumentSink, at: number): number {
  const { words, bytes } = field
  const target = { view: sink.out.view, at }
  let fits = true
  if (field.code === code.UINT64) putUnsigned(words[row * 2] as number, words[row * 2 + 1] as number, target)
  else if (field.code === code.DECIMAL) fits = putDecimalWords(words, row, field.scale, target)
  else fits = putDecimalText(bytes, words[row] as number, words[row + 1] as number, target)
  return fits ? at + 16 : inexact(sink)
}

function inexact(sink: DocumentSink): typeof REFUSED {
  sink.reason = 'a number that decimal128 does not hold exactly'
  return REFUSED
}

/** Native bytes, or their hexadecimal digits. */
function putIdentifier({ code: own, words, bytes }: FieldSource, row: number, sink: DocumentSink, at: number): number {
  const start = words[row] as number
  const length = (words[row + 1] as number) - start
  const { out } = sink
  if (own === code.HEX_ID) {
    if (length === 24 && putObjectId(bytes, start, out.bytes, at)) return at + 12
    sink.reason = 'a text that is not the 24 hexadecimal digits of an ObjectId'
    return REFUSED
  }
  if (length === 12) {
    for (let i = 0; i < 12; i++) out.bytes[at + i] = bytes[start + i] as number
    return at + 12
  }
  sink.reason = 'an ObjectId that has not 12 bytes'
  return REFUSED
}

/** Longer texts are copied by the engine's own routine, which costs as much to call as a few dozen bytes. */
const LONG = 96

function putString(field: FieldSource, row: number, out: BsonOutput, at: number): number {
  const end = putBytes(field, row, out, at + 4)
  out.view.setInt32(at, end - at - 3, true)
  out.bytes[end] = 0
  return end + 1
}

function putBinary(field: FieldSource, row: number, out: BsonOutput, at: number): number {
  const end = putBytes(field, row, out, at + 5)
  out.view.setInt32(at, end - at - 5, true)
  out.bytes[at + 4] = 0
  return end
}

function putBytes({ words, bytes, view: from }: FieldSource, row: number, out: BsonOutput, at: number): number {
  let start = words[row] as number
  const end = words[row + 1] as number
  out.ensure(at, end - start)
  const { view } = out
  let to = at
  if (end - start > LONG) {
    out.bytes.set(bytes.subarray(start, end), to)
    return to + end - start
  }
  for (; start < end - 3; start += 4, to += 4) view.setInt32(to, from.getInt32(start))
  for (; start < end; start++, to++) out.bytes[to] = bytes[start] as number
  return to
}

const DAY_MILLIS = 86_400_000
const INFINITE = 0x7fffffff
const MINUS_INFINITE = -0x80000000

/** Exact: a day has few enough odd factors that the product needs less than 53 bits. */
function putDate(days: number, sink: DocumentSink, at: number): number {
  if (days === INFINITE || days === MINUS_INFINITE) return infinite(sink)
  putLong(sink.out.view, at, days * DAY_MILLIS)
  return at + 8
}

/** Microseconds to milliseconds, rounded down: two divisions of numbers that doubles hold exactly. */
function putTimestamp(low: number, high: number, sink: DocumentSink, at: number): number {
  if ((high === INFINITE && low === -1) || (high === MINUS_INFINITE && low === 0)) return infinite(sink)
  if (wrapsAround(high)) {
    sink.reason = 'a time past the year 294247'
    return REFUSED
  }
  const upper = Math.floor(high / 1000)
  const rest = (high - upper * 1000) * 4_294_967_296 + (low >>> 0)
  const { view } = sink.out
  view.setInt32(at, Math.floor(rest / 1000) | 0, true)
  view.setInt32(at + 4, upper, true)
  return at + 8
}

function infinite(sink: DocumentSink): typeof REFUSED {
  sink.reason = 'an infinite date'
  return REFUSED
}

function putList(field: FieldSource, row: number, sink: DocumentSink, at: number): number {
  const { words } = field
  const child = field.children[0] as FieldSource
  const { out } = sink
  const start = words[row] as number
  const end = words[row + 1] as number
  let to = at + 4
  for (let i = start; i < end; i++) {
    out.ensure(to, 0)
    const element = to
    const missing = !hasValue(child, i)
    out.bytes[element] = missing ? t.NULL : child.plan.type
    to = putIndex(out.bytes, element + 1, i - start)
    if (missing) continue
    to = putValue(child, i, sink, to)
    if (to < 0) return to
    if (child.code === code.EXTENDED) out.bytes[element] = sink.type
  }
  out.ensure(to, 0)
  out.bytes[to++] = 0
  out.view.setInt32(at, to - at, true)
  return to
}

/** Documents within each other that MongoDB takes at most. */
const MAX_DEPTH = 200

function putExtended({ plan, words, bytes }: FieldSource, row: number, sink: DocumentSink, at: number): number {
  const { out, parser } = sink
  out.size = at
  sink.type = parser.parse(bytes, words[row] as number, words[row + 1] as number)
  const isDeep = parser.depth + plan.level > MAX_DEPTH
  if (sink.type !== 0 && !isDeep) return out.size
  sink.reason = isDeep ? `more than ${MAX_DEPTH} documents within each other` : `no Extended JSON: ${parser.reason}`
  return REFUSED
}
