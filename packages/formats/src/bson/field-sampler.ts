import { bsonOf } from './elements.ts'
import { idDocument } from './extended-json.ts'
import type { SamplerState, ValueSampler } from './value-sampler.ts'
import { DocumentSampler } from './value-sampler.ts'

/** What a sample says of one field. */
export interface SampledField {
  readonly name: string
  /** Documents in which its value is of each type, by the name of the type, in order of first sight. */
  readonly types: readonly { readonly alias: string; readonly count: number }[]
  /** Documents that have it. */
  readonly present: number
}

/** Learns from some documents of a collection which fields it has, and of which types. */
export class FieldSampler {
  readonly #state: SamplerState
  readonly #root: DocumentSampler
  /** Of documents that were drawn by chance: each with nothing but its `_id`. */
  readonly drawnIds: Uint8Array[] = []

  /** `within`: what is nested in documents is looked at, too. */
  constructor(within = false) {
    this.#state = { within, drawn: false }
    this.#root = new DocumentSampler(this.#state, 0)
  }

  /** Documents that were looked at. */
  get documents(): number {
    return this.#root.count
  }

  /** Looks at one document. A damaged one is not counted; fields whose names are empty or not UTF-8 are passed over. */
  observe(document: Uint8Array): void {
    this.#root.observe(bsonOf(document), 0, document.length)
    if (this.#state.drawn) this.drawnIds.push(idDocument(document))
  }

  /** The documents that come are drawn by chance: what only they have is a column where it is not rare. */
  draw(): void {
    this.#state.drawn = true
  }

  /** In order of first sight. */
  fields(): SampledField[] {
    return Array.from(this.#root.fields, ([name, { types, present }]) => ({
      name,
      types: Array.from(types, ([alias, count]) => ({ alias, count })),
      present,
    }))
  }

  /** The fields that are columns, by what was learnt of them. */
  columns(): (readonly [name: string, field: ValueSampler])[] {
    return this.#root.columns()
  }
}
