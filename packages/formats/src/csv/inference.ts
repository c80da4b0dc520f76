import type { BufferPool, BytesColumn, Field } from '@nebula/core'
import { utf8 } from '@nebula/core'
import type { FormatInference, Preamble } from '../format.ts'
import { TypeInference } from '../infer.ts'
import type { CsvDialect } from './dialect.ts'
import { CsvReader } from './reader.ts'

/** Rows and bytes that are looked at together. */
const BATCH = { rows: 10_000, bytes: 2 ** 20 }

/** Reads samples as text, and infers the type of each column from it. */
export class CsvInference implements FormatInference {
  readonly #dialect: CsvDialect
  readonly #names: readonly string[]
  readonly #pool: BufferPool
  readonly #inference: TypeInference

  constructor(dialect: CsvDialect, names: readonly string[], pool: BufferPool) {
    this.#dialect = dialect
    this.#names = names
    this.#pool = pool
    this.#inference = new TypeInference(names.length, pool)
  }

  get fields(): readonly Field[] {
    const { types } = this.#inference
    return this.#names.map((name, i) => {
      const type = types[i] ?? utf8
      return { name, type, nullable: true, offers: type.kind === 'utf8' ? [utf8] : [type, utf8] }
    })
  }

  observe(head: Uint8Array, complete: boolean, { size }: Preamble): void {
    const fields = this.#names.map((name): Field => ({ name, type: utf8, nullable: true }))
    const columns = fields.map((_, i) => i)
    const pool = this.#pool
    const reader = new CsvReader(this.#dialect, {
      schema: { fields },
      columns,
      width: columns.length,
      offset: size,
      pool,
      ...BATCH,
    })
    try {
      for (let at = size; at < head.length;) {
        const space = reader.space()
        const chunk = head.subarray(at, at + space.length)
        space.set(chunk)
        reader.filled(chunk.length)
        at += chunk.length
        if (at === head.length && complete) reader.end()
        this.#take(reader)
      }
    } finally {
      reader.free()
    }
  }

  free(): void {
    this.#inference.free()
  }

  #take(reader: CsvReader): void {
    for (let batch = reader.next(); batch; batch = reader.next()) {
      this.#inference.observe(batch.columns as readonly BytesColumn[])
      batch.release()
    }
  }
}
