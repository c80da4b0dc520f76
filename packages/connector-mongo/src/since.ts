import type { ReadStream } from '@nebula/core'
import { parseText, valueAt } from '@nebula/core'
import type { Document } from 'mongodb'
import type { Bson } from './id-range.ts'

/** The types that the server compares with each other as numbers. */
const NUMBERS = ['int', 'long', 'double', 'decimal']

/**
 * What finds the documents of which an incremental stream may not know yet: those whose cursor is not lower, is missing,
 * or is of another type than its column. Undefined: the server finds all; so it does for texts, whose order is that of a
 * collation.
 */
export function sinceFilter(bson: Bson, { request, schema }: ReadStream): Document | undefined {
  const { cursor = '', since = '' } = request
  const field = schema.fields.find(({ name }) => name === cursor)
  // To the server it is a path or an operator, unless it is a plain name.
  if (request.since === undefined || !field || !/^[^$.][^.]*$/.test(cursor)) return undefined
  const value = valueOf(bson, field.declared, since)
  if (value === undefined) return undefined
  const others = NUMBERS.includes(field.declared ?? '') ? NUMBERS.filter((alias) => alias !== field.declared) : []
  // An array is lower when one of its values is.
  return { $or: [{ [cursor]: { $not: { $lt: value } } }, { [cursor]: { $type: ['array', ...others] } }] }
}

/** From which `_id` on, as canonical Extended JSON: where it is an ObjectId, and the cursor. */
export function sinceId({ request, schema }: ReadStream): string | undefined {
  const { cursor, since } = request
  const isObjectId = schema.fields.some(({ name, declared }) => name === '_id' && declared === 'objectId')
  return cursor === '_id' && isObjectId && since !== undefined ? `{"$oid":"${since}"}` : undefined
}

function valueOf(bson: Bson, declared: string | undefined, text: string): unknown {
  switch (declared) {
    case 'int':
    case 'long':
      return bson.Long.fromString(text)
    case 'date':
      return dateOf(text)
    case 'objectId':
      return new bson.ObjectId(text)
    default:
      return undefined
  }
}

function dateOf(text: string): Date | undefined {
  const column = parseText(text, { kind: 'timestamp', zone: true })
  const date = new Date(column ? Number((valueAt(column, 0) as bigint) / 1000n) : NaN)
  // MongoDB has dates that the language has not.
  return Number.isNaN(date.getTime()) ? undefined : date
}
