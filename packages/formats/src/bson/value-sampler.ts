import { isUtf8 } from '@nebula/core'
import type { Bson } from './elements.ts'
import { ARRAY, isFramed, nameEnd, OBJECT, valueEnd } from './elements.ts'
import { typeAlias } from './field-types.ts'

/** What the samplers of a collection share. */
export interface SamplerState {
  /** Looks into documents and arrays. */
  readonly within: boolean
  /** The documents that come are drawn by chance. */
  drawn: boolean
}

const HEAD = 4
/** Documents within each other that are looked into. */
const MAX_LEVELS = 16
/** A document with more fields has names that are data. */
const MAX_FIELDS = 100
/** A field that only few documents of a large collection have is none of its columns: names may be data, too. */
const LEAST_SHARE = 0.01
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Learns which types some values have: those of one field, or the elements of its arrays. */
export class ValueSampler {
  readonly #state: SamplerState
  readonly #level: number
  /** Values of each type, by its name, in order of first sight. */
  readonly types = new Map<string, number>()
  /** It was met before documents were drawn by chance. */
  readonly steady: boolean
  /** Documents that have the field. */
  present = 0
  /** The last document that has it. */
  last = 0
  /** Of the values that are documents. */
  documents: DocumentSampler | undefined
  /** Of the elements of those that are arrays. */
  elements: ValueSampler | undefined

  constructor(state: SamplerState, level: number) {
    this.#state = state
    this.#level = level
    this.steady = !state.drawn
  }

  observe(bson: Bson, type: number, start: number, end: number): void {
    const alias = typeAlias(bson.bytes, type, start, end)
    this.types.set(alias, (this.types.get(alias) ?? 0) + 1)
    if (!this.#state.within || this.#level === MAX_LEVELS) return
    const level = this.#level + 1
    if (type === OBJECT) (this.documents ??= new DocumentSampler(this.#state, level)).observe(bson, start, end)
    if (type === ARRAY) (this.elements ??= new ValueSampler(this.#state, level)).#observeElements(bson, start, end)
  }

  #observeElements(bson: Bson, start: number, end: number): void {
    const last = end - 1
    for (let at = start + HEAD; at !== last;) {
      const type = bson.bytes[at] as number
      const name = nameEnd(bson.bytes, at + 1, last)
      const next = name < 0 ? -1 : valueEnd(bson, type, name + 1, last)
      if (next < 0) return
      // What chance brings to light must not make an array json that was a list the last time.
      const isLate = this.#state.drawn && this.steady && this.types.size > 0
      if (!isLate || this.types.has(typeAlias(bson.bytes, type, name + 1, next)))
        this.observe(bson, type, name + 1, next)
      at = next
    }
  }

  /** The name of the type that most values have, null aside. */
  alias(): string {
    let [most, count] = ['null', 0]
    for (const [alias, times] of this.types) if (alias !== 'null' && times > count) [most, count] = [alias, times]
    return most
  }
}

/** Learns from some documents which fields they have, and of which types. */
export class DocumentSampler {
  readonly #state: SamplerState
  readonly #level: number
  readonly #fields = new Map<string, ValueSampler>()
  /** Names in an order in which documents have them. */
  readonly #order: string[] = []
  /** Documents that were looked at. */
  count = 0

  constructor(state: SamplerState, level: number) {
    this.#state = state
    this.#level = level
  }

  /** Looks at one document. A damaged one is not counted; names that are not UTF-8, or empty and no nested ones, are passed over. */
  observe(bson: Bson, start: number, end: number): void {
    const { bytes } = bson
    const last = end - 1
    if (!isFramed(bson, start, end)) return
    const found: (readonly [name: string, type: number, start: number, end: number])[] = []
    for (let at = start + HEAD; at !== last;) {
      const type = bytes[at] as number
      const name = nameEnd(bytes, at + 1, last)
      const next = name < 0 ? -1 : valueEnd(bson, type, name + 1, last)
      if (next < 0) return
      if ((name > at + 1 || this.#level > 0) && isUtf8(bytes, at + 1, name))
        found.push([decoder.decode(bytes.subarray(at + 1, name)), type, name + 1, next])
      at = next
    }
    this.count++
    let before: string | undefined
    for (const [name, type, from, to] of found) {
      const field = this.#field(name, before)
      before = name
      // Of a name that occurs twice the first counts.
      if (!field || field.last === this.count) continue
      field.last = this.count
      field.present++
      field.observe(bson, type, from, to)
    }
  }

  /** Those of documents that are nested stand behind what they were first seen behind; undefined: there are too many. */
  #field(name: string, before: string | undefined): ValueSampler | undefined {
    const known = this.#fields.get(name)
    if (known || (this.#level > 0 && this.#fields.size > MAX_FIELDS)) return known
    const field = new ValueSampler(this.#state, this.#level)
    this.#fields.set(name, field)
    const place = this.#level === 0 ? -1 : before === undefined ? 0 : this.#order.indexOf(before) + 1
    this.#order.splice(place < 0 ? this.#order.length : place, 0, name)
    return field
  }

  /** All that were seen, in order. */
  get fields(): ReadonlyMap<string, ValueSampler> {
    return this.#fields
  }

  /**
   * The fields that are columns: the same again for the same documents, but for what only chance brings to light. Of a
   * nested document none where its names are data.
   */
  columns(): (readonly [name: string, field: ValueSampler])[] {
    const all = this.#order.map((name) => [name, this.#fields.get(name) as ValueSampler] as const)
    const steady = all.filter(([, field]) => field.steady)
    const decisive = this.#level > 0 && steady.length > 0 ? steady : all
    if (this.#level > 0 && decisive.length > MAX_FIELDS) return []
    // What chance brings to light must not make a document json whose fields were columns the last time.
    const isChance = ([name, field]: (typeof all)[number]): boolean =>
      !field.steady && field.present >= this.count * LEAST_SHARE && (decisive === all || isPlain(name))
    const chance = all.filter(isChance).toSorted(([a], [b]) => (a < b ? -1 : 1))
    return [...steady, ...chance]
  }
}

/** True for a name that can be part of a column's, and that a query takes as it is: no path, no operator. */
export function isPlain(name: string): boolean {
  return name !== '' && !name.startsWith('$') && !name.includes('.')
}
