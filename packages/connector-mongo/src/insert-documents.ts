import type { Rejection } from '@nebula/core'
import type { DocumentSection } from '@nebula/formats'
import type { Document } from 'mongodb'
import type { Link, Namespace } from './connection.ts'
import { errorCode, mongoError, serverMessage } from './errors.ts'
import type { WriteError } from './raw-write.ts'
import { DUPLICATE_KEY, writeRaw } from './raw-write.ts'

const FAILS_VALIDATION = 121
/** `index: NAME dup key`; a collation may stand before the key, and a clustered collection has no index of its ids. */
const INDEX = / index: (.*?)(?: collation:| dup key:|$)/s
/** Ids of one query. */
const QUERY_IDS = 1000
/** Every value as a class of its type, so that a query asks for the very same. */
const TYPED = { promoteValues: false, promoteBuffers: false, bsonRegExp: true, validation: { utf8: false } } as const

/** A document that was not taken. */
export type Refused = Pick<Rejection, 'code' | 'reason'> & { readonly row: number }

/**
 * Inserts documents as they are; returns those that the server refuses. A document that is there with the same bytes is
 * not among them: it was inserted before, by an attempt that ended. In a transaction there is no such, and the first
 * refusal ends it.
 */
export async function insertDocuments(link: Link, to: Namespace, section: DocumentSection): Promise<Refused[]> {
  const { errors } = await writeRaw(link, to, 'insert', section.bytes)
  const repeated = link.session ? [] : errors.filter(isRepeatedId).map(({ index }) => section.document(index))
  const stored = new Set((await storedWithIds(link, to, repeated)).map(bytesKey))
  return errors
    .filter((error) => !isRepeatedId(error) || !stored.has(bytesKey(section.document(error.index))))
    .map((error) => ({ row: section.row(error.index), ...refusalOf(error) }))
}

/** Puts documents in the place of those with their `_id`, or adds them; returns those that the server refuses. */
export async function mergeDocuments(link: Link, to: Namespace, section: DocumentSection): Promise<Refused[]> {
  const { errors } = await writeRaw(link, to, 'update', section.bytes)
  return errors.map((error) => ({ row: section.row(error.index), ...refusalOf(error) }))
}

/** What a collection has under the ids of documents, as it is stored, in any order. */
export async function storedWithIds(
  { client, signal }: Link,
  { database, collection }: Namespace,
  documents: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const stored: Uint8Array[] = []
  const from = client.db(database).collection(collection)
  for (let at = 0; at < documents.length; at += QUERY_IDS) {
    const filter = { _id: { $in: await idsOf(documents.slice(at, at + QUERY_IDS)) } } as Document
    stored.push(...((await from.find(filter, { raw: true, signal }).toArray()) as unknown as Uint8Array[]))
  }
  return stored
}

/** Equal for documents of equal bytes. */
export function bytesKey({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
}

export async function idsOf(documents: readonly Uint8Array[]): Promise<unknown[]> {
  const { BSON } = await import('mongodb')
  return documents.map((document) => BSON.deserialize(document, TYPED)['_id'] as unknown)
}

function isRepeatedId({ code, errmsg = '' }: WriteError): boolean {
  return code === DUPLICATE_KEY && (INDEX.exec(errmsg)?.[1] ?? '_id_') === '_id_'
}

/** Why a document is refused, without its values. Throws what is no refusal of this one document. */
function refusalOf(error: WriteError): Pick<Rejection, 'code' | 'reason'> {
  const { code, errmsg = '' } = error
  const cause = Object.assign(new Error(errmsg), { code })
  const ours = errorCode(cause)
  if (ours !== 'row_rejected' && ours !== 'query_failed') throw mongoError(cause)
  const index = code === DUPLICATE_KEY ? INDEX.exec(errmsg)?.[1] : undefined
  const refusal = (reason: string): Pick<Rejection, 'code' | 'reason'> => ({ code: String(code), reason })
  if (isRepeatedId(error)) return refusal('Another document has the same _id.')
  if (index !== undefined) return refusal(`Another document has the same values in the unique index ${index}.`)
  if (code === FAILS_VALIDATION) return refusal('The validator of the collection refuses the document.')
  return refusal(`${serverMessage(cause)}.`)
}
