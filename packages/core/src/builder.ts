import type { BufferPool } from './buffer-pool.ts'
import type {
  BoolColumn,
  BytesColumn,
  Column,
  Fixed128Column,
  Fixed64Column,
  FixedArray,
  FixedColumn,
} from './column.ts'
import { layoutOf } from './column.ts'
import { NebulaError } from './errors.ts'
import type { LogicalType } from './types.ts'

/**
 * Builders fill the buffers of one column. A decoder calls `start(rows)`, writes straight into the typed arrays for
 * every row, marks nulls, and takes the column with `finish`. The column is a view: it is valid until the next `start`
 * or `free`. Buffers grow geometrically and are kept between batches, so a long run allocates nothing per batch.
 */
export abstract class BuilderBase {
  readonly type: LogicalType
  protected readonly pool: BufferPool
  /** Rows of the batch being filled. */
  rows = 0
  /** Rows marked null so far. */
  nulls = 0
  /** Bit 1 = valid; all ones after `start`. */
  validity: Uint8Array = EMPTY

  constructor(type: LogicalType, pool: BufferPool) {
    this.type = type
    this.pool = pool
  }

  /** Begins a batch of `rows` rows, all valid; previous content is lost. */
  start(rows: number): void {
    this.rows = rows
    this.nulls = 0
    const bytes = (rows + 7) >> 3
    this.validity = this.grown(this.validity, bytes, 0)
    this.validity.fill(0xff, 0, bytes)
    this.reserve(rows, 0)
  }

  /** Makes the batch one of `rows` rows, which are more; those that are set stay. Arrays may be others afterwards. */
  grow(rows: number): void {
    const [before, bytes] = [(this.rows + 7) >> 3, (rows + 7) >> 3]
    this.validity = this.grown(this.validity, bytes, before)
    this.validity.fill(0xff, before, bytes)
    this.reserve(rows, this.rows)
    this.rows = rows
  }

  /** Marks a row null. Its value slot may hold anything; a bytes row must be empty. Once per row. */
  setNull(row: number): void {
    this.validity[row >> 3] = (this.validity[row >> 3] as number) & ~(1 << (row & 7))
    this.nulls++
  }

  /** Marks a row null, whatever the layout. Rows are set in order. */
  appendNull(row: number): void {
    this.setNull(row)
  }

  /** Takes back the row that was set last, or begun. */
  clear(row: number): void {
    const bit = 1 << (row & 7)
    const validity = this.validity[row >> 3] as number
    if ((validity & bit) !== 0) return
    this.validity[row >> 3] = validity | bit
    this.nulls--
  }

  /** Gives every buffer back to the pool. */
  free(): void {
    this.release(this.validity)
    this.validity = EMPTY
    this.rows = 0
  }

  abstract finish(): Column
  /** Makes room for `rows` rows, of which the first `kept` keep their values. */
  protected abstract reserve(rows: number, kept: number): void

  protected finishedValidity(): Uint8Array | null {
    return this.nulls === 0 ? null : this.validity
  }

  protected grown(buffer: Uint8Array, bytes: number, kept: number): Uint8Array {
    if (buffer.byteLength >= bytes && buffer !== EMPTY) return buffer
    const larger = this.pool.take(bytes)
    if (kept > 0) larger.set(buffer.subarray(0, kept))
    this.release(buffer)
    return larger
  }

  protected release(buffer: Uint8Array): void {
    if (buffer !== EMPTY) this.pool.give(buffer)
  }
}

const EMPTY = new Uint8Array(0)
const EMPTY_WORDS = new Int32Array(0)

export class BoolBuilder extends BuilderBase {
  readonly layout = 'bool'
  /** All zero after `start`. */
  bits: Uint8Array = EMPTY

  protected reserve(rows: number, kept: number): void {
    const [before, bytes] = [(kept + 7) >> 3, (rows + 7) >> 3]
    this.bits = this.grown(this.bits, bytes, before)
    this.bits.fill(0, before, bytes)
  }

  setTrue(row: number): void {
    this.bits[row >> 3] = (this.bits[row >> 3] as number) | (1 << (row & 7))
  }

  override clear(row: number): void {
    super.clear(row)
    this.bits[row >> 3] = (this.bits[row >> 3] as number) & ~(1 << (row & 7))
  }

  finish(): BoolColumn {
    return { layout: 'bool', type: this.type, length: this.rows, validity: this.finishedValidity(), bits: this.bits }
  }

  override free(): void {
    super.free()
    this.release(this.bits)
    this.bits = EMPTY
  }
}

type FixedArrayClass = {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): FixedArray
  readonly BYTES_PER_ELEMENT: number
}

const FIXED_ARRAYS: Partial<Record<LogicalType['kind'], FixedArrayClass>> = {
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
  date: Int32Array,
}

export class FixedBuilder extends BuilderBase {
  readonly layout = 'fixed'
  readonly #class: FixedArrayClass
  #buffer: Uint8Array = EMPTY
  /** One value a row; for `date` an Int32Array of days since 1970. */
  values: FixedArray = EMPTY
  /** The same memory as words, low word first, for types of 32 and 64 bits. */
  words: Int32Array = EMPTY_WORDS

  constructor(type: LogicalType, pool: BufferPool) {
    super(type, pool)
    const arrayClass = FIXED_ARRAYS[type.kind]
    if (!arrayClass) throw new NebulaError('internal', { message: `${type.kind} is not a fixed-width type.` })
    this.#class = arrayClass
  }

  protected reserve(rows: number, kept: number): void {
    const width = this.#class.BYTES_PER_ELEMENT
    const buffer = this.grown(this.#buffer, rows * width, kept * width)
    if (buffer === this.#buffer) return
    this.#buffer = buffer
    this.values = new this.#class(buffer.buffer, 0, buffer.byteLength / width)
    if (width > 2) this.words = new Int32Array(buffer.buffer, 0, buffer.byteLength >> 2)
  }

  finish(): FixedColumn {
    const { type, values } = this
    return { layout: 'fixed', type, length: this.rows, validity: this.finishedValidity(), values }
  }

  override free(): void {
    super.free()
    this.release(this.#buffer)
    this.#buffer = EMPTY
    this.values = EMPTY
    this.words = EMPTY_WORDS
  }
}

/** 64 and 128-bit values as 32-bit words, lowest first. */
export class WordsBuilder extends BuilderBase {
  readonly layout: 'fixed64' | 'fixed128'
  #buffer: Uint8Array = EMPTY
  /** Two or four words a row. */
  words: Int32Array = EMPTY_WORDS
  /** The same memory as bytes, for uuid. */
  bytes: Uint8Array = EMPTY

  constructor(type: LogicalType, pool: BufferPool, layout: 'fixed64' | 'fixed128') {
    super(type, pool)
    this.layout = layout
  }

  protected reserve(rows: number, kept: number): void {
    const width = this.layout === 'fixed64' ? 8 : 16
    const buffer = this.grown(this.#buffer, rows * width, kept * width)
    if (buffer === this.#buffer) return
    this.#buffer = this.bytes = buffer
    this.words = new Int32Array(buffer.buffer, 0, buffer.byteLength / 4)
  }

  finish(): Fixed64Column | Fixed128Column {
    const { layout, type, words } = this
    return { layout, type, length: this.rows, validity: this.finishedValidity(), words }
  }

  override free(): void {
    super.free()
    this.release(this.#buffer)
    this.#buffer = EMPTY
    this.bytes = EMPTY
    this.words = EMPTY_WORDS
  }
}

export class BytesBuilder extends BuilderBase {
  readonly layout = 'bytes'
  #offsets: Uint8Array = EMPTY
  /** `rows + 1` entries; `offsets[0]` is 0. Whoever fills rows in order sets `offsets[row + 1]` to the new `size`. */
  offsets: Int32Array = EMPTY_WORDS
  data: Uint8Array = EMPTY
  /** Bytes of `data` in use. */
  size = 0

  protected reserve(rows: number, kept: number): void {
    const buffer = this.grown(this.#offsets, (rows + 1) * 4, (kept + 1) * 4)
    if (buffer !== this.#offsets) this.offsets = new Int32Array(buffer.buffer, 0, buffer.byteLength / 4)
    this.#offsets = buffer
    if (kept === 0) this.offsets[0] = this.size = 0
    if (this.data === EMPTY) this.data = this.pool.take(rows * 8)
  }

  /** Makes room for `bytes` more behind `size`; `data` may be another buffer afterwards. */
  ensure(bytes: number): void {
    const needed = this.size + bytes
    if (needed <= this.data.byteLength) return
    if (needed > MAX_BYTES) {
      throw new NebulaError('data_invalid', {
        message: `A batch would hold more than ${MAX_BYTES} bytes in one column.`,
        fix: 'Lower performance.batch_bytes.',
      })
    }
    const larger = this.pool.take(Math.min(MAX_BYTES, Math.max(needed, this.data.byteLength * 2)))
    larger.set(this.data.subarray(0, this.size))
    this.release(this.data)
    this.data = larger
  }

  /** Sets the bytes of `row` to `source[start] .. source[end]`. Rows are set in order. */
  append(row: number, source: Uint8Array, start: number, end: number): void {
    this.ensure(end - start)
    const { data } = this
    let at = this.size
    if (end - start < 32) for (let i = start; i < end; i++) data[at++] = source[i] as number
    else data.set(source.subarray(start, end), at)
    this.size += end - start
    this.offsets[row + 1] = this.size
  }

  /** Marks a row null, and empty. Rows are set in order. */
  override appendNull(row: number): void {
    this.setNull(row)
    this.offsets[row + 1] = this.size
  }

  override clear(row: number): void {
    super.clear(row)
    this.size = this.offsets[row] as number
  }

  finish(): BytesColumn {
    const { type, offsets, data } = this
    return { layout: 'bytes', type, length: this.rows, validity: this.finishedValidity(), offsets, data }
  }

  override free(): void {
    super.free()
    this.release(this.#offsets)
    this.release(this.data)
    this.#offsets = EMPTY
    this.data = EMPTY
    this.offsets = EMPTY_WORDS
  }
}

/** Offsets are signed 32-bit. */
const MAX_BYTES = 0x7fffffff

export type ColumnBuilder = BoolBuilder | FixedBuilder | WordsBuilder | BytesBuilder

/** The builder for a type of values in one buffer; that of every type is `anyBuilder`. */
export function columnBuilder(type: LogicalType, pool: BufferPool): ColumnBuilder {
  const layout = layoutOf(type)
  switch (layout) {
    case 'bool':
      return new BoolBuilder(type, pool)
    case 'fixed':
      return new FixedBuilder(type, pool)
    case 'fixed64':
    case 'fixed128':
      return new WordsBuilder(type, pool, layout)
    case 'bytes':
      return new BytesBuilder(type, pool)
    default:
      throw new NebulaError('unsupported', { message: `No builder for ${layout} columns.` })
  }
}
