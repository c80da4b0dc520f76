import type { Acceptance, ColumnAcceptance, Field, Problem, Schema, StreamRequest } from '@nebula/core'
import { BufferPool, isNebulaError, typeName, utf8 } from '@nebula/core'
import type { DocumentEncoderOptions, DocumentField } from '@nebula/formats'
import { BSON_WIRE, DocumentEncoder, documentType } from '@nebula/formats'
import type { MongoConfig } from './config.ts'

/** Bytes of a partition that one transaction takes well within its lifetime. */
const PARTITION_BYTES = 16_000_000

/** What is asked about one stream. */
export interface Offer {
  readonly request: StreamRequest
  readonly schema: Schema
  readonly wire: readonly string[]
  readonly transactional: boolean
  /** A collection stands at the target. */
  readonly stands: boolean
}

/** How a stream would be kept in a collection. Pure. */
export function acceptDocuments(config: MongoConfig, offer: Offer): Acceptance {
  const { request, schema, wire, transactional, stands } = offer
  const { fields } = schema
  const columns = fields.map((field) => acceptField(config, field))
  const problems = fields.flatMap((field, i) => problemsOf(field, columns[i] as ColumnAcceptance))
  if (request.mode === 'merge' && (request.key[0] !== '_id' || request.key.length > 1)) problems.push(NO_ID)
  const unchanged = fields.every(({ vendor, declared, name }, i) => {
    return vendor === 'mongo' && declared !== undefined && name === request.columns[i]
  })
  const passes = unchanged && fields.length === request.columns.length && wire.includes(BSON_WIRE)
  return {
    columns,
    ...(passes ? { wire: BSON_WIRE, replaced: [] } : {}),
    ddl: ddlOf(request, stands),
    guarantee: transactional ? 'exactly_once' : 'at_least_once',
    ...(transactional ? { partitionBytes: PARTITION_BYTES } : {}),
    problems: problems.length > 0 ? problems : jointProblems(config, fields, columns),
  }
}

const NO_ID: Problem = {
  code: 'unsupported',
  message: 'MongoDB merges by _id: give the column that is the key this name, as in rename: { id: _id }',
}

function ddlOf({ mode, stream }: StreamRequest, stands: boolean): string[] {
  if (!stands) return [`db.createCollection(${JSON.stringify(stream)})`]
  return mode === 'merge' ? ['replaceOne({ _id: ... }, DOCUMENT, { upsert: true })'] : []
}

function acceptField(config: MongoConfig, field: Field): ColumnAcceptance {
  const { type, offers = [], vendor, declared } = field
  const as = [type, ...offers].find(documentType) ?? utf8
  if (vendor === 'mongo' && declared !== undefined) return { as, type: declared, fidelity: 'exact' }
  const { role, as: parsed } = documentField(config, { ...field, type: as })
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
function jointProblems(config: MongoConfig, fields: readonly Field[], columns: readonly ColumnAcceptance[]): Problem[] {
  const written = fields.map((field, i) => ({ ...field, type: columns[i]?.as ?? field.type }))
  try {
    new DocumentEncoder({ ...encodingOf(config, { fields: written }), pool: new BufferPool(0) }).free()
    return []
  } catch (error) {
    if (!isNebulaError(error, 'target_incompatible')) throw error
    return [{ code: 'target_incompatible', message: error.message }]
  }
}

/** How columns become documents. */
export type Encoding = Pick<DocumentEncoderOptions, 'fields' | 'nulls' | 'nested'>

export function encodingOf(config: MongoConfig, { fields }: Schema): Encoding {
  const { nested, writeNulls } = config
  return { fields: fields.map((field) => documentField(config, field)), nulls: writeNulls ? 'write' : 'omit', nested }
}

function documentField({ overflow, objectIds }: MongoConfig, { name, type, vendor, declared }: Field): DocumentField {
  const isText = type.kind === 'utf8' || type.kind === 'json'
  const role = name === '_id' ? 'id' : name === overflow && isText ? 'overflow' : 'field'
  const own = type.kind === 'utf8' && vendor === 'mongo' ? declared : undefined
  if (own === 'objectId' || (type.kind === 'utf8' && objectIds.includes(name)))
    return { name, type, role, as: 'objectId' }
  const extended = own === 'extended'
  return { name, type, role, ...(extended ? { as: 'extended' as const } : {}) }
}
