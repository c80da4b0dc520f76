import { BufferPool, BytesBuilder, NebulaError, viewOf } from '@nebula/core'
import type { Bson } from './elements.ts'
import { bsonOf, isFramed, nameEnd, valueEnd } from './elements.ts'
import type { ExtendedJsonStyle } from './extended-json-writer.ts'
import { ExtendedJsonWriter } from './extended-json-writer.ts'
import { typeAlias } from './field-types.ts'
import { isNamed } from './name-index.ts'

/** A BSON value: its type, and where its bytes lie. */
export interface BsonValue {
  readonly type: number
  readonly start: number
  readonly end: number
}

const HEAD = 4
const ID = Uint8Array.of(0x5f, 0x69, 0x64, 0)
const decoder = new TextDecoder()

/** One value as Extended JSON, in memory of its own. Throws `data_invalid` when the value is damaged inside. */
export function extendedJson(bytes: Uint8Array, value: BsonValue, style: ExtendedJsonStyle): Uint8Array {
  const text = textOf(bsonOf(bytes), value, style)
  if (text) return text.slice()
  throw new NebulaError('data_invalid', { message: 'A BSON value is damaged.' })
}

/** The `_id` of a document as canonical Extended JSON; empty when it has none, or is damaged. */
export function idText(bytes: Uint8Array, start: number, end: number): string {
  const bson = bsonOf(bytes)
  const id = idOf(bson, start, end)
  const text = id && textOf(bson, id, 'canonical')
  return text ? decoder.decode(text) : ''
}

function textOf(bson: Bson, { type, start, end }: BsonValue, style: ExtendedJsonStyle): Uint8Array | undefined {
  const out = new BytesBuilder({ kind: 'json' }, new BufferPool(0))
  const writer = new ExtendedJsonWriter(style, out)
  writer.turnTo(bson)
  return writer.value(type, start, end) ? out.data.subarray(0, out.size) : undefined
}

/** The name of the type of a document's `_id`, as `declared` has it; empty when it has none, or is damaged. */
export function idAlias(bytes: Uint8Array, start: number, end: number): string {
  const id = idOf(bsonOf(bytes), start, end)
  return id ? typeAlias(bytes, id.type, id.start, id.end) : ''
}

/** A document with nothing but the `_id` of this one, if it has any. */
export function idDocument(document: Uint8Array): Uint8Array {
  const id = idOf(bsonOf(document), 0, document.length)
  const value = HEAD + 1 + ID.length
  const size = id ? value + (id.end - id.start) + 1 : HEAD + 1
  const bytes = new Uint8Array(size)
  viewOf(bytes).setInt32(0, size, true)
  if (!id) return bytes
  bytes[HEAD] = id.type
  bytes.set(ID, HEAD + 1)
  bytes.set(document.subarray(id.start, id.end), value)
  return bytes
}

function idOf(bson: Bson, start: number, end: number): BsonValue | undefined {
  const { bytes } = bson
  const last = end - 1
  if (!isFramed(bson, start, end)) return undefined
  for (let at = start + HEAD; at !== last;) {
    const type = bytes[at] as number
    const name = nameEnd(bytes, at + 1, last)
    const value = name + 1
    const next = name < 0 ? -1 : valueEnd(bson, type, value, last)
    if (next < 0) return undefined
    if (isNamed(bytes, at + 1, ID)) return { type, start: value, end: next }
    at = next
  }
  return undefined
}
