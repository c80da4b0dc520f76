import type { AnyBuilder, BufferPool, Column } from '@nebula/core'
import { anyBuilder, gatherColumn } from '@nebula/core'

/** Gathers rows of the columns of a schema, in memory that it keeps from batch to batch. */
export class Gatherer {
  readonly #pool: BufferPool
  readonly #builders: (AnyBuilder | undefined)[] = []

  constructor(pool: BufferPool) {
    this.#pool = pool
  }

  /** Rows `kept` of the column that has this index; valid until the next call for it. */
  gather(index: number, column: Column, kept: Int32Array): Column {
    const builder = (this.#builders[index] ??= anyBuilder(column.type, this.#pool))
    return gatherColumn(column, kept, builder)
  }

  free(): void {
    for (const builder of this.#builders) builder?.free()
  }
}
