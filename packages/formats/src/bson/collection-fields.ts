import type { Field } from '@nebula/core'
import type { FieldSampler } from './field-sampler.ts'
import { documentFields } from './field-sampler.ts'
import { aliasCode, columnType, offersOf } from './field-types.ts'

/** A field that only few documents of a large collection have is none of its columns: names may be data, too. */
const LEAST_SHARE = 0.01
const MAX_FIELDS = 1000

/** What is known of a collection. */
export interface CollectionSample {
  readonly sampler: FieldSampler
  /** Fields of the documents that are looked at every time, in order of first sight. */
  readonly steady: readonly string[]
  /** Types of the first and the last `_id`. */
  readonly idTypes: readonly string[]
  /** `$jsonSchema` of its validator. */
  readonly schema: { readonly [key: string]: unknown } | undefined
}

/** The columns of a collection: the same again for the same documents, but for what only chance brings to light. */
export function collectionFields({ sampler, steady, idTypes, schema }: CollectionSample, overflow: string): Field[] {
  const isKnown = new Set(steady)
  const byName = new Map(documentFields(sampler, { overflow, idTypes }).map((field) => [field.name, field]))
  const least = sampler.documents * LEAST_SHARE
  const chance = sampler.fields().filter(({ name, present }) => !isKnown.has(name) && present >= least)
  const names = [...steady, ...chance.map(({ name }) => name).toSorted()].slice(0, MAX_FIELDS)
  const validated = validatedFields(schema, new Set([overflow, ...byName.keys()]))
  return ['_id', ...names.filter((name) => name !== '_id'), overflow].flatMap((name) => {
    const field = byName.get(name)
    return [...(name === overflow ? validated : []), ...(field ? [field] : [])]
  })
}

/** Fields of which the validator knows one type, and the sample nothing. */
function validatedFields(schema: CollectionSample['schema'], known: ReadonlySet<string>): Field[] {
  return Object.entries(schema?.['properties'] ?? {}).flatMap(([name, property]): Field[] => {
    const { bsonType: declared } = property as { readonly bsonType?: unknown }
    if (known.has(name) || typeof declared !== 'string' || aliasCode(declared) < 0) return []
    const type = columnType(declared)
    const comment = 'in no document of the sample; its type is that of the validator'
    return [{ name, type, nullable: true, vendor: 'mongo', declared, offers: offersOf(type), comment }]
  })
}
