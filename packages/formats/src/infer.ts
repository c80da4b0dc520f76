import type { BufferPool, BytesColumn, LogicalType } from '@nebula/core'
import { BytesBuilder, columnBuilder, formatColumn, parseColumn, utf8 } from '@nebula/core'

/** What a text may be, in order of preference. */
const CANDIDATES: readonly LogicalType[] = [
  { kind: 'int64' },
  { kind: 'float64' },
  { kind: 'bool' },
  { kind: 'date' },
  { kind: 'timestamp', zone: false },
  { kind: 'timestamp', zone: true },
]
/** Most candidates fail within a few rows. */
const FIRST_LOOK = 32

/**
 * The types of columns of texts: of each the first candidate that reads every text and prints it back byte for byte, so
 * that ids with leading zeros, prices with trailing ones, and numbers of 20 digits stay texts.
 */
export class TypeInference {
  readonly #pool: BufferPool
  readonly #printed: BytesBuilder
  readonly #candidates: (readonly LogicalType[])[]
  /** Per column: whether any row had a value. */
  readonly #known: boolean[]

  constructor(columns: number, pool: BufferPool) {
    this.#pool = pool
    this.#printed = new BytesBuilder(utf8, pool)
    this.#candidates = Array.from({ length: columns }, () => CANDIDATES)
    this.#known = Array.from({ length: columns }, () => false)
  }

  /** One per column; utf8 for a column without values. */
  get types(): readonly LogicalType[] {
    return this.#candidates.map((left, i) => (this.#known[i] ? left[0] : undefined) ?? utf8)
  }

  /** Looks at the next rows. */
  observe(columns: readonly BytesColumn[]): void {
    columns.forEach((column, i) => {
      const look = Math.min(FIRST_LOOK, column.length)
      this.#narrow(i, column, { from: 0, to: look })
      this.#narrow(i, column, { from: look, to: column.length })
    })
  }

  free(): void {
    this.#printed.free()
  }

  #narrow(index: number, column: BytesColumn, rows: Rows): void {
    const candidates = this.#candidates[index] as readonly LogicalType[]
    const starts = startsOf(column, rows)
    if (starts.every((start) => start < 0)) return
    this.#known[index] = true
    this.#candidates[index] = candidates.filter((type) => this.#isExact(type, column, rows, starts))
  }

  #isExact(type: LogicalType, column: BytesColumn, { from, to }: Rows, starts: Int32Array): boolean {
    const { data, offsets } = column
    const ends = offsets.subarray(from + 1, to + 1)
    const builder = columnBuilder(type, this.#pool)
    let faults = 0
    parseColumn({ data, starts, ends, base: 0, stride: 1, rows: to - from }, builder, () => faults++)
    if (faults === 0) formatColumn(builder.finish(), this.#printed)
    builder.free()
    return faults === 0 && this.#isPrinted(column, from, to)
  }

  /** True when the printed texts are those of the rows. */
  #isPrinted(column: BytesColumn, from: number, to: number): boolean {
    const { offsets, data, size } = this.#printed
    const base = column.offsets[from] as number
    for (let row = from; row < to; row++)
      if (offsets[row - from + 1] !== (column.offsets[row + 1] as number) - base) return false
    for (let i = 0; i < size; i++) if (data[i] !== column.data[base + i]) return false
    return true
  }
}

interface Rows {
  readonly from: number
  readonly to: number
}

/** Where the texts of the rows begin; -1 for null. */
function startsOf(column: BytesColumn, { from, to }: Rows): Int32Array {
  const starts = column.offsets.slice(from, to)
  const { validity } = column
  if (validity === null) return starts
  for (let row = from; row < to; row++)
    if (((validity[row >> 3] as number) & (1 << (row & 7))) === 0) starts[row - from] = -1
  return starts
}
