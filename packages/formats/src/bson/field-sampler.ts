import type { Field, LogicalType } from '@nebula/core'
import { isUtf8, utf8 } from '@nebula/core'
import { bsonOf, isFramed, nameEnd, valueEnd } from './elements.ts'
import { columnType, DOCUMENT, EXTENDED, offersOf, OVERFLOW, typeAlias } from './field-types.ts'

/** What a sample says of one field. */
export interface SampledField {
  readonly name: string
  /** Documents in which its value is of each type, by the name of the type, in order of first sight. */
  readonly types: readonly { readonly alias: string; readonly count: number }[]
  /** Documents that have it. */
  readonly present: number
}

interface Seen {
  readonly types: Map<string, number>
  present: number
  /** The last document that has it. */
  last: number
}

const HEAD = 4
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Learns from some documents of a collection which fields it has, and of which types. */
export class FieldSampler {
  readonly #seen = new Map<string, Seen>()
  /** Documents that were looked at. */
  documents = 0

  /** Looks at one document. A damaged one is not counted; fields whose names are empty or not UTF-8 are passed over. */
  observe(document: Uint8Array): void {
    const bson = bsonOf(document)
    const last = document.length - 1
    if (!isFramed(bson, 0, document.length)) return
    const found: [name: string, alias: string][] = []
    for (let at = HEAD; at !== last;) {
      const type = document[at] as number
      const name = nameEnd(document, at + 1, last)
      const next = name < 0 ? -1 : valueEnd(bson, type, name + 1, last)
      if (next < 0) return
      if (name > at + 1 && isUtf8(document, at + 1, name))
        found.push([decoder.decode(document.subarray(at + 1, name)), typeAlias(document, type, name + 1, next)])
      at = next
    }
    this.documents++
    for (const [name, alias] of found) this.#count(name, alias)
  }

  #count(name: string, alias: string): void {
    const seen = this.#seen.get(name) ?? { types: new Map<string, number>(), present: 0, last: 0 }
    // Of a name that occurs twice the first counts.
    if (seen.last === this.documents) return
    seen.last = this.documents
    seen.present++
    seen.types.set(alias, (seen.types.get(alias) ?? 0) + 1)
    this.#seen.set(name, seen)
  }

  /** In order of first sight. */
  fields(): SampledField[] {
    return Array.from(this.#seen, ([name, { types, present }]) => ({
      name,
      types: Array.from(types, ([alias, count]) => ({ alias, count })),
      present,
    }))
  }
}

export interface FieldOptions {
  /** The name of the overflow column. No field may have it; who discovers refuses that. */
  readonly overflow: string
  /** The types of `_id` that were met elsewhere, such as at both ends of its index: see `idAlias`. */
  readonly idTypes: readonly string[]
  /** True: whole documents. */
  readonly documents?: boolean
}

/**
 * The columns of a collection: `_id` where there is one, the fields in order of first sight, each of the type that most
 * of its values have, and the overflow column; of whole documents: `_id` and `document`.
 */
export function documentFields(sample: FieldSampler, { overflow, idTypes, documents: whole }: FieldOptions): Field[] {
  const { documents } = sample
  const sampled = sample.fields()
  const ids = new Set([
    ...idTypes,
    ...(sampled.find(({ name }) => name === '_id')?.types ?? []).map(({ alias }) => alias),
  ])
  const json = { type: { kind: 'json' }, vendor: 'mongo' } as const
  const id = ids.size > 0 ? [idField(ids)] : []
  if (whole) {
    const comment = 'the document, as Extended JSON'
    return [...id, { ...json, name: DOCUMENT, nullable: false, declared: 'object', comment }]
  }
  const fields = sampled.filter(({ name }) => name !== '_id').map((field) => fieldOf(field, documents))
  const comment = 'what no other column holds, as Extended JSON'
  return [...id, ...fields, { ...json, name: overflow, nullable: true, declared: OVERFLOW, comment }]
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
    return { ...shared, type, declared: alias, ...offers(type) }
  }
  const comment = `${[...aliases].join(', ')}; as canonical Extended JSON`
  return { ...shared, type: utf8, declared: EXTENDED, comment }
}

function fieldOf({ name, types, present }: SampledField, documents: number): Field {
  const values = types.filter(({ alias }) => alias !== 'null')
  const [first = { alias: 'null', count: 0 }, ...others] = values
  const { alias } = others.reduce((most, one) => (one.count > most.count ? one : most), first)
  const type = columnType(alias)
  const shares = types.map((one) => `${percent(one.count, documents)} ${one.alias}`)
  const comment = `in ${percent(present, documents)} of ${grouped(documents)} documents; ${shares.join(', ')}`
  return { name, type, nullable: true, vendor: 'mongo', declared: alias, ...offers(type), comment }
}

/** Left out where there is nothing to choose. The one type that is native is an ObjectId. */
function offers(type: LogicalType): Pick<Field, 'offers' | 'ordered'> {
  const all = offersOf(type)
  return all.length > 1 ? { offers: all, ordered: true } : {}
}

function percent(part: number, whole: number): string {
  const rounded = Math.round((part * 100) / whole)
  if (rounded === 0) return '< 1 %'
  return rounded === 100 && part < whole ? '> 99 %' : `${rounded} %`
}

function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(\d{3})+$)/g, ',')
}
