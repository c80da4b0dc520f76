import type { BufferPool } from './buffer-pool.ts'
import type { ColumnBuilder } from './builder.ts'
import { BuilderBase, columnBuilder } from './builder.ts'
import type { ListColumn, StructColumn } from './column.ts'
import type { LogicalType } from './types.ts'

export type AnyBuilder = ColumnBuilder | ListBuilder | StructBuilder

/** The builder for any type: those of lists and structs have builders of what is in them. */
export function anyBuilder(type: LogicalType, pool: BufferPool): AnyBuilder {
  if (type.kind === 'list') return new ListBuilder(type, pool)
  return type.kind === 'struct' ? new StructBuilder(type, pool) : columnBuilder(type, pool)
}

/** Whoever sets a row sets it in every child; `appendNull` and `clear` do so themselves. */
export class StructBuilder extends BuilderBase {
  readonly layout = 'struct'
  /** In the order of the type's fields. */
  readonly children: readonly AnyBuilder[]

  constructor(type: LogicalType & { kind: 'struct' }, pool: BufferPool) {
    super(type, pool)
    this.children = type.fields.map((field) => anyBuilder(field.type, pool))
  }

  protected reserve(rows: number, kept: number): void {
    for (const child of this.children) {
      if (kept === 0) child.start(rows)
      else child.grow(rows)
    }
  }

  override appendNull(row: number): void {
    this.setNull(row)
    for (const child of this.children) child.appendNull(row)
  }

  override clear(row: number): void {
    super.clear(row)
    for (const child of this.children) child.clear(row)
  }

  finish(): StructColumn {
    const children = this.children.map((child) => {
      child.rows = this.rows
      return child.finish()
    })
    return { layout: 'struct', type: this.type, length: this.rows, validity: this.finishedValidity(), children }
  }

  override free(): void {
    super.free()
    for (const child of this.children) child.free()
  }
}

const EMPTY = new Uint8Array(0)

/**
 * Rows are set in order: whoever sets one asks for room with `ensure`, sets child rows from `size` on, which goes up
 * with each, and sets `offsets[row + 1]` to the new `size`.
 */
export class ListBuilder extends BuilderBase {
  readonly layout = 'list'
  readonly child: AnyBuilder
  #buffer: Uint8Array = EMPTY
  /** `rows + 1` entries; `offsets[0]` is 0. */
  offsets: Int32Array = new Int32Array(0)
  /** Child rows in use. */
  size = 0

  constructor(type: LogicalType & { kind: 'list' }, pool: BufferPool) {
    super(type, pool)
    this.child = anyBuilder(type.element, pool)
  }

  protected reserve(rows: number, kept: number): void {
    const buffer = this.grown(this.#buffer, (rows + 1) * 4, (kept + 1) * 4)
    if (buffer !== this.#buffer) this.offsets = new Int32Array(buffer.buffer, 0, buffer.byteLength >> 2)
    this.#buffer = buffer
    if (kept > 0) return
    this.offsets[0] = this.size = 0
    this.child.start(rows)
  }

  /** Makes room for `rows` more child rows; true when the arrays of the child may be others now. */
  ensure(rows: number): boolean {
    const needed = this.size + rows
    if (needed <= this.child.rows) return false
    this.child.grow(Math.max(needed, this.child.rows * 2))
    return true
  }

  override appendNull(row: number): void {
    this.setNull(row)
    this.offsets[row + 1] = this.size
  }

  override clear(row: number): void {
    super.clear(row)
    const start = this.offsets[row] as number
    while (this.size > start) this.child.clear(--this.size)
  }

  finish(): ListColumn {
    const { type, offsets, rows: length } = this
    this.child.rows = this.size
    return { layout: 'list', type, length, validity: this.finishedValidity(), offsets, child: this.child.finish() }
  }

  override free(): void {
    super.free()
    this.release(this.#buffer)
    this.#buffer = EMPTY
    this.offsets = new Int32Array(0)
    this.child.free()
  }
}
