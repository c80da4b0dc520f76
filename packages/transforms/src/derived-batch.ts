import type { Column, Position, RecordBatch, Rejection, Schema, WireRows } from '@nebula/core'
import { columnBytes, NebulaError, Record } from '@nebula/core'

export interface DerivedInput {
  /** Must outlive the result. */
  readonly base: RecordBatch
  readonly schema: Schema
  readonly rows: number
  readonly rejected: readonly Rejection[]
  readonly wire?: WireRows | undefined
  /** Called at most once per column. */
  readonly column: (index: number) => Column
  /** Where a row came from; left out: the rows are those of `base`. */
  readonly place?: ((row: number) => string) | undefined
  readonly origin?: RecordBatch['origin'] | undefined
  readonly onRelease?: () => void
}

/** A batch made of another one. A column comes to be when somebody asks for it. */
export class DerivedBatch implements RecordBatch {
  readonly stream: string
  readonly schema: Schema
  readonly rows: number
  readonly position: Position | undefined
  readonly wire?: WireRows
  readonly rejected: readonly Rejection[]
  readonly #input: DerivedInput
  readonly #columns: (Column | undefined)[] = []
  #released = false

  constructor(input: DerivedInput) {
    this.stream = input.base.stream
    this.position = input.base.position
    this.schema = input.schema
    this.rows = input.rows
    this.rejected = input.rejected
    if (input.wire) this.wire = input.wire
    this.#input = input
  }

  get byteLength(): number {
    const { wire, rows } = this
    if (wire) return (wire.offsets[rows] as number) - (wire.offsets[0] as number)
    return this.schema.fields.reduce((sum, _, index) => sum + columnBytes(this.column(index)), 0)
  }

  column(index: number): Column {
    if (this.#released) throw new NebulaError('released', { message: `A batch of ${this.stream} was released.` })
    return (this.#columns[index] ??= this.#input.column(index))
  }

  record(row: number): Record {
    return Record.view(this, row)
  }

  place(row: number): string {
    return this.#input.place ? this.#input.place(row) : this.#input.base.place(row)
  }

  origin(row: number): ReturnType<RecordBatch['origin']> {
    return this.#input.origin ? this.#input.origin(row) : this.#input.base.origin(row)
  }

  release(): void {
    if (this.#released) throw new NebulaError('released', { message: `A batch of ${this.stream} was released twice.` })
    this.#released = true
    this.#columns.length = 0
    this.#input.onRelease?.()
  }
}
