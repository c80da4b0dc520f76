import { NebulaError } from '@nebula/core'
import { BOOL, bsonOf, INT, nameEnd, OBJECT, REGEX, valueEnd } from './elements.ts'

/**
 * The statement of an `update` (MongoDB, database commands) that puts a document in the place of the one with its `_id`,
 * or adds it: `{ q: { _id: ID }, u: DOCUMENT, upsert: true }`. Throws `data_invalid` for a document without an `_id`.
 */
export function replacement(document: Uint8Array): Uint8Array {
  return wrapped([sameId(document), element(OBJECT, 'u', document), element(BOOL, 'upsert', Uint8Array.of(1))])
}

/** The statement of a `delete` that removes the document with the same `_id`: `{ q: { _id: ID }, limit: 1 }`. */
export function removal(document: Uint8Array): Uint8Array {
  return wrapped([sameId(document), element(INT, 'limit', Uint8Array.of(1, 0, 0, 0))])
}

/** The query for the `_id` of a document; one that is a document may look like an operator, and is asked for by `$eq`. */
function sameId(document: Uint8Array): Uint8Array {
  const [type, id] = idOf(document)
  const isPlain = type !== OBJECT && type !== REGEX
  const equal = isPlain ? element(type, '_id', id) : element(OBJECT, '_id', wrapped([element(type, '$eq', id)]))
  return element(OBJECT, 'q', wrapped([equal]))
}

/** The type and the bytes of the `_id`, which stands first in documents that are stored. */
function idOf(document: Uint8Array): [type: number, value: Uint8Array] {
  const bson = bsonOf(document)
  const last = document.length - 1
  const type = document[4] ?? 0
  const name = nameEnd(document, 5, last)
  const end = name === 8 && IS_ID.every((byte, i) => byte === document[5 + i]) ? valueEnd(bson, type, 9, last) : -1
  if (end < 0)
    throw new NebulaError('data_invalid', { message: 'A document that is to be found again has no _id in front.' })
  return [type, document.subarray(9, end)]
}

const IS_ID = new TextEncoder().encode('_id')

function element(type: number, name: string, value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(type), Buffer.from(`${name}\0`), value])
}

function wrapped(elements: readonly Uint8Array[]): Uint8Array {
  const bytes = Buffer.concat([Uint8Array.of(0, 0, 0, 0), ...elements, Uint8Array.of(0)])
  bytes.writeInt32LE(bytes.length)
  return bytes
}
