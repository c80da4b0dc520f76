import type { Field, LogicalType } from '@nebula/core'
import { NebulaError, utf8 } from '@nebula/core'
import type { FieldSampler } from './field-sampler.ts'
import { aliasCode, columnType, DOCUMENT, EXTENDED, offersOf, OVERFLOW } from './field-types.ts'
import { nestedType, typeWidth } from './nested-types.ts'
import type { Nesting } from './nesting.ts'
import type { ValueSampler } from './value-sampler.ts'
import { isPlain } from './value-sampler.ts'

/** Columns of a collection, with those in structs and lists. */
const MAX_COLUMNS = 1000

export interface FieldOptions {
  /** The name of the overflow column, which no field may have. */
  readonly overflow: string
  /** The types of `_id` that were met elsewhere, such as at both ends of its index: see `idAlias`. */
  readonly idTypes: readonly string[]
  /** True: whole documents. */
  readonly documents?: boolean
  /** Left out: what is nested is json. */
  readonly nesting?: Nesting
  /** `$jsonSchema` of the collection's validator. */
  readonly schema?: { readonly [key: string]: unknown } | undefined
}

/**
 * The columns of a collection: `_id` where there is one, the fields of the sample, each of the type that most of its
 * values have, those that only the validator names, and the overflow column; of whole documents: `_id` and `document`.
 * Throws `config_invalid` for a field that is called like the overflow column.
 */
export function documentFields(sample: FieldSampler, options: FieldOptions): Field[] {
  const { overflow, idTypes, documents: whole, nesting = AS_JSON, schema } = options
  const sampled = sample.columns()
  const ids = new Set([...idTypes, ...(sampled.find(([name]) => name === '_id')?.[1].types.keys() ?? [])])
  const json = { type: { kind: 'json' }, vendor: 'mongo' } as const
  const id = ids.size > 0 ? [idField(ids)] : []
  if (whole) {
    const comment = 'the document, as Extended JSON'
    return [...id, { ...json, name: DOCUMENT, nullable: false, declared: 'object', comment }]
  }
  const fields = sampledFields(sampled, sample.documents, nesting)
  const named = ['_id', ...sample.fields().map(({ name }) => name)]
  if ([...named, ...fields.map(({ name }) => name)].includes(overflow)) throw nameTaken(overflow)
  const comment = 'what no other column holds, as Extended JSON'
  return [
    ...id,
    ...fields,
    ...validatedFields(schema, new Set([...named, overflow])).filter(({ name }) => canBeColumn(name, nesting)),
    { ...json, name: overflow, nullable: true, declared: OVERFLOW, comment },
  ]
}

function nameTaken(overflow: string): NebulaError {
  return new NebulaError('config_invalid', {
    message: `There is a field ${overflow}, which is the name of the column for what no other column holds.`,
    fix: 'Give that column another name: overflow.',
  })
}

const AS_JSON: Nesting = { objects: 'json', flattenDepth: 1, arrays: 'json' }

function sampledFields(
  sampled: readonly (readonly [name: string, field: ValueSampler])[],
  documents: number,
  nesting: Nesting,
): Field[] {
  const fields: Field[] = []
  let width = 0
  for (const [name, value] of sampled) {
    if (name === '_id' || !canBeColumn(name, nesting)) continue
    const fit = [nesting, AS_JSON]
      .map((how) => fieldsOf([name], value, { documents, nesting: how }))
      .find((some) => width + widthOf(some) <= MAX_COLUMNS)
    if (!fit) break
    width += widthOf(fit)
    fields.push(...fit)
  }
  return fields
}

/** To who makes documents of flattened columns again, a dot in a name means that it is one of them. */
function canBeColumn(name: string, { objects }: Nesting): boolean {
  return objects !== 'flatten' || !name.includes('.')
}

const widthOf = (fields: readonly Field[]): number => fields.reduce((sum, { type }) => sum + typeWidth(type), 0)

interface Around {
  /** Of the sample. */
  readonly documents: number
  readonly nesting: Nesting
}

/** The column of a field, or those of the fields in it. */
function fieldsOf(path: readonly string[], value: ValueSampler, around: Around): Field[] {
  const { nesting } = around
  const isOpen = nesting.objects === 'flatten' && path.length <= nesting.flattenDepth && value.alias() === 'object'
  const inner = (isOpen && value.documents?.columns()) || []
  if (inner.length > 0 && [...path, ...inner.map(([name]) => name)].every(isPlain))
    return inner.flatMap(([name, field]) => fieldsOf([...path, name], field, around))
  return [fieldOf(path, value, around)]
}

function fieldOf(path: readonly string[], value: ValueSampler, { documents, nesting }: Around): Field {
  const { types, present } = value
  const type = nestedType(value, nesting)
  const shares = Array.from(types, ([alias, count]) => `${percent(count, documents)} ${alias}`)
  return {
    name: path.join('.'),
    type,
    nullable: true,
    vendor: 'mongo',
    declared: value.alias(),
    ...(path.length > 1 ? { path } : {}),
    ...offers(type),
    comment: `in ${percent(present, documents)} of ${grouped(documents)} documents; ${shares.join(', ')}`,
  }
}

/** Types of `_id` of which every value, or nearly, has a place in a column. */
const IDS: ReadonlySet<string> = new Set([
  'objectId',
  'string',
  'int',
  'long',
  'double',
  'bool',
  'date',
  'binData',
  'uuid',
])

function idField(aliases: ReadonlySet<string>): Field {
  const [alias = '', ...others] = aliases
  const shared = { name: '_id', nullable: false, vendor: 'mongo' }
  if (others.length === 0 && IDS.has(alias)) {
    const type = columnType(alias)
    return { ...shared, type, declared: alias, spelling: alias, ...offers(type) }
  }
  const comment = `${[...aliases].join(', ')}; as canonical Extended JSON`
  return { ...shared, type: utf8, declared: EXTENDED, spelling: EXTENDED, comment }
}

/** Fields of which the validator knows one type, and the sample nothing. */
function validatedFields(schema: FieldOptions['schema'], known: ReadonlySet<string>): Field[] {
  return Object.entries(schema?.['properties'] ?? {}).flatMap(([name, property]): Field[] => {
    const { bsonType: declared } = property as { readonly bsonType?: unknown }
    if (known.has(name) || typeof declared !== 'string' || aliasCode(declared) < 0) return []
    const type = columnType(declared)
    const comment = 'in no document of the sample; its type is that of the validator'
    return [{ name, type, nullable: true, vendor: 'mongo', declared, ...offers(type), comment }]
  })
}

/** Left out where there is nothing to choose. The one type that is native is an ObjectId. */
function offers(type: LogicalType): Pick<Field, 'offers' | 'ordered'> {
  const all = offersOf(type)
  return { ...(all.length > 1 ? { offers: all } : {}), ...(type.kind === 'native' ? { ordered: true } : {}) }
}

function percent(part: number, whole: number): string {
  const rounded = Math.round((part * 100) / whole)
  if (rounded === 0) return '< 1 %'
  return rounded === 100 && part < whole ? '> 99 %' : `${rounded} %`
}

function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ',')
}
