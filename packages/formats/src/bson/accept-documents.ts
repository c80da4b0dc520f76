import type { Acceptance, ColumnAcceptance, Field, Problem, Schema, StreamRequest } from '@nebula/core'
import { BufferPool, isNebulaError, typeName, utf8 } from '@nebula/core'
import { BSON_WIRE } from './document-batches.ts'
import type { DocumentField, DocumentPlanOptions } from './document-plan.ts'
import type { DocumentOptions } from './document-options.ts'
import { planDocuments } from './document-plan.ts'
import { documentType } from './document-types.ts'
import { OVERFLOW } from './field-types.ts'

/** Bytes of a partition that one transaction takes well within its lifetime. */
const PARTITION_BYTES = 16_000_000

/** What is asked about one stream. */
export interface DocumentOffer {
  readonly request: StreamRequest
  readonly schema: Schema
  readonly wire: readonly string[]
  readonly transactional: boolean
  /** A collection stands at the target. */
  readonly stands: boolean
}

/** How a stream would be kept in a collection. */
export function acceptDocuments(options: DocumentOptions, offer: DocumentOffer): Acceptance {
  const { request, schema, transactional } = offer
  const { fields } = schema
  const columns = fields.map((field) => acceptField(options, field))
  const problems = fields.flatMap((field, i) => problemsOf(field, columns[i] as ColumnAcceptance))
  if (request.mode === 'merge' && (request.key[0] !== '_id' || request.key.length > 1)) problems.push(NO_ID)
  const rules = options.validators && !offer.stands ? request.rules : undefined
  const isWire = passes(options, offer)
  if (rules !== undefined && !isWire) problems.push(NO_VALIDATOR)
  return {
    columns,
    ...(isWire ? { wire: BSON_WIRE, replaced: [] } : {}),
    ddl: ddlOf(offer, rules),
    guarantee: transactional ? 'exactly_once' : 'at_least_once',
    ...(transactional ? { partitionBytes: PARTITION_BYTES } : {}),
    problems: problems.length > 0 ? problems : jointProblems(options, fields, columns),
  }
}

const NO_ID: Problem = {
  code: 'unsupported',
  message: 'MongoDB merges by _id: give the column that is the key this name, as in rename: { id: _id }',
}

const NO_VALIDATOR: Problem = {
  code: 'unsupported',
  message: 'a validator is for documents as they are: leave out what changes the rows, or validators: true',
}

/** True when documents can be written as they were read: every column is as it was, and all are asked for. */
function passes({ nested }: DocumentOptions, { request, schema: { fields }, wire }: DocumentOffer): boolean {
  const { columns } = request
  const isUnchanged = fields.length === columns.length && fields.every((field, i) => field.name === columns[i])
  if (!isUnchanged || !fields.every(isOwn) || !wire.includes(BSON_WIRE)) return false
  // Flattened documents are whole again where they are nested, and nothing of them is left out.
  return fields.every(({ path }) => !path) || (nested && fields.some(({ declared }) => declared === OVERFLOW))
}

function isOwn({ vendor, declared }: Field): boolean {
  return vendor === 'mongo' && declared !== undefined
}

function ddlOf({ request: { mode, stream }, stands }: DocumentOffer, rules: string | undefined): string[] {
  if (!stands) return [`db.createCollection(${[JSON.stringify(stream), rules].filter(Boolean).join(', ')})`]
  return mode === 'merge' ? ['replaceOne({ _id: ... }, DOCUMENT, { upsert: true })'] : []
}

function acceptField(options: DocumentOptions, field: Field): ColumnAcceptance {
  const { type, offers = [], declared = '' } = field
  const as = [type, ...offers].find(documentType) ?? utf8
  if (isOwn(field)) return { as, type: declared, fidelity: 'exact' }
  const { role, as: parsed } = documentField(options, { ...field, type: as })
  if (role === 'overflow' || parsed) return { as, type: parsed ?? role, fidelity: 'exact' }
  const { alias, ...rest } = documentType(as) ?? { alias: 'string', fidelity: 'exact' as const }
  return { as, type: alias, ...rest }
}

function problemsOf({ name, type, offers = [] }: Field, { as }: ColumnAcceptance): Problem[] {
  const problem = (code: Problem['code'], fault: string): Problem[] => [
    { code, column: name, message: `column ${JSON.stringify(name)}: ${fault}` },
  ]
  if (![type, ...offers].some(documentType)) return problem('unsupported', `documents cannot hold ${typeName(type)}`)
  if (name === '_id' && as.kind === 'list') return problem('unsupported', 'an array cannot be an _id')
  if (name === '') return problem('target_incompatible', 'it has no name')
  return name.includes('\0') ? problem('target_incompatible', 'a field has no NUL in its name') : []
}

/** What is wrong with columns together: names that exclude each other. */
function jointProblems(
  options: DocumentOptions,
  fields: readonly Field[],
  columns: readonly ColumnAcceptance[],
): Problem[] {
  const written = fields.map((field, i) => ({ ...field, type: columns[i]?.as ?? field.type }))
  try {
    planDocuments({ ...encodingOf(options, { fields: written }), pool: new BufferPool(0) })
    return []
  } catch (error) {
    if (!isNebulaError(error, 'target_incompatible')) throw error
    return [{ code: 'target_incompatible', message: error.message }]
  }
}

/** How columns become documents. */
export type DocumentEncoding = Omit<DocumentPlanOptions, 'pool'>

/** What `DocumentEncoder` is told of the columns of a schema. */
export function encodingOf(options: DocumentOptions, { fields }: Schema): DocumentEncoding {
  const { nested, writeNulls } = options
  return { fields: fields.map((field) => documentField(options, field)), nulls: writeNulls ? 'write' : 'omit', nested }
}

function documentField({ overflow, objectIds }: DocumentOptions, field: Field): DocumentField {
  const { name, type, vendor, declared } = field
  const isText = type.kind === 'utf8'
  const isOverflow = name === overflow && (isText || type.kind === 'json')
  const role = name === '_id' ? 'id' : isOverflow ? 'overflow' : 'field'
  const own = isText && vendor === 'mongo' ? declared : undefined
  if (own === 'objectId' || (isText && objectIds.includes(name))) return { name, type, role, as: 'objectId' }
  return { name, type, role, ...(own === 'extended' ? { as: own } : {}) }
}
