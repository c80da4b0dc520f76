import { NebulaError } from '@nebula/core'
import { idText } from '@nebula/formats'
import type { Document } from 'mongodb'
import { driver } from './driver.ts'

/** A filter in the driver's values, from Extended JSON. Throws `config_invalid`, for what was written by a user. */
export function parseFilter(text: string): Document {
  try {
    const filter: unknown = driver().BSON.EJSON.parse(text, { relaxed: false })
    if (typeof filter === 'object' && filter !== null && !Array.isArray(filter)) return filter
  } catch {
    // Its message would quote the filter.
  }
  throw new NebulaError('config_invalid', {
    message: 'native_filter is no document in Extended JSON: {"at": {"$gte": {"$date": "2026-01-01T00:00:00Z"}}}.',
  })
}

/** A document's `_id` in canonical Extended JSON; undefined when the driver would send another value for it. */
export function sendableId(document: Uint8Array): string | undefined {
  const text = idText(document, 0, document.length)
  try {
    const sent = driver().BSON.serialize(parseFilter(`{"_id":${text}}`))
    return idText(sent, 0, sent.length) === text ? text : undefined
  } catch {
    return undefined
  }
}
