import type { BufferPool, ColumnBuilder, Field, Slices } from '@nebula/core'
import { columnBuilder, NebulaError, parseColumn, typeName } from '@nebula/core'
import type { FormatBatch, FormatReader, ReaderOptions, RowFault } from '../format.ts'
import { Intake } from '../intake.ts'
import type { CsvDialect } from './dialect.ts'
import { CsvFramer } from './framer.ts'

const LONGEST_RECORD = 256 * 1024 * 1024
const GATHERED_AT_ONCE = 64 * 1024 * 1024

/** Frames a chunk of whole records, then parses it column by column into builders that are reused. */
export class CsvReader implements FormatReader {
  readonly #options: ReaderOptions
  readonly #intake: Intake
  readonly #framer: CsvFramer
  readonly #idle: RowBuffers[] = []
  /** Where `intake.data[0]` would lie in the file. */
  #origin: number
  #ended = false
  #freed = false
  /** The record at hand is incomplete: so many bytes are framed again at the earliest. */
  #enough = 0

  constructor(dialect: CsvDialect, options: ReaderOptions) {
    this.#options = options
    this.#intake = new Intake(options.pool)
    this.#framer = new CsvFramer(dialect, options.width, options.pool)
    this.#origin = options.offset - this.#intake.from
  }

  space(): Uint8Array {
    return this.#intake.space()
  }

  get gathering(): boolean {
    return this.#enough > 0
  }

  filled(bytes: number): void {
    const before = this.#intake.from
    this.#intake.filled(bytes)
    this.#origin += before - this.#intake.from
  }

  end(): void {
    this.#ended = true
    this.#enough = 0
  }

  next(): FormatBatch | undefined {
    const { rows, bytes } = this.#options
    const intake = this.#intake
    const framer = this.#framer
    for (;;) {
      const { data, from, to } = intake
      if (from === to || to - from < this.#enough) return undefined
      this.#enough = 0
      const end = framer.frame({ data, from, to, final: this.#ended, rows, bytes })
      const batch = framer.rows > 0 || framer.faults.length > 0 ? this.#parse() : undefined
      intake.from = framer.next
      if (end === 'incomplete') this.#await(to - intake.from)
      if (batch) return batch
      if (end === 'incomplete') return undefined
      if (end === 'cramped') this.#widen()
    }
  }

  trim(): void {
    this.#framer.free()
    for (const buffers of this.#idle) buffers.free()
    this.#idle.length = 0
  }

  free(): void {
    this.#freed = true
    this.trim()
    this.#intake.free()
  }

  /** A record that is cut is not looked at again before much more of it is there: a long one costs little more than its length. */
  #await(bytes: number): void {
    if (bytes > LONGEST_RECORD) {
      throw new NebulaError('data_invalid', {
        message: `The record that begins at byte ${this.#origin + this.#intake.from} is longer than ${LONGEST_RECORD} bytes.`,
        fix: 'Look for a quote that is not closed, or correct the quote option.',
      })
    }
    this.#enough = this.#intake.isLong ? bytes + Math.min(bytes, GATHERED_AT_ONCE) : 0
  }

  #widen(): void {
    const before = this.#intake.from
    this.#intake.widen()
    this.#origin += before - this.#intake.from
  }

  #parse(): FormatBatch {
    const framer = this.#framer
    const buffers = this.#idle.pop() ?? new RowBuffers(this.#options)
    const faults: RowFault[] = framer.faults.map(({ start, end, reason }) => this.#fault(start, end, reason))
    const faulty = buffers.parse(framer, this.#intake.data, this.#options)
    if (faulty.size > 0) {
      for (const [row, field] of faulty) faults.push(this.#invalid(row, field))
      faults.sort((a, b) => a.offset - b.offset)
      framer.keep(Array.from({ length: framer.rows }, (_, row) => row).filter((row) => !faulty.has(row)))
      buffers.parse(framer, this.#intake.data, this.#options)
    }
    const origin = this.#origin
    const { begins } = buffers
    return {
      rows: framer.rows,
      columns: buffers.builders.map((builder) => builder.finish()),
      faults,
      offsetOf: (row) => origin + (begins[row] as number),
      release: () => this.#takeBack(buffers),
    }
  }

  /** Nothing is kept while somebody may wait for the memory. */
  #takeBack(buffers: RowBuffers): void {
    const { used, limit } = this.#options.pool.statistics
    if (this.#freed || used >= limit) buffers.free()
    else this.#idle.push(buffers)
  }

  #fault(start: number, end: number, reason: string): RowFault {
    const raw = this.#intake.data.slice(start, end)
    return { offset: this.#origin + start, code: 'row_invalid', reason, raw }
  }

  #invalid(row: number, field: Field): RowFault {
    const { spans } = this.#framer
    const { name, type } = field
    const reason = type.kind === 'utf8' ? `"${name}" is not valid UTF-8` : `"${name}" is not a valid ${typeName(type)}`
    const fault = this.#fault(spans[row * 2] as number, spans[row * 2 + 1] as number, reason)
    return { ...fault, code: 'value_invalid', column: name }
  }
}

/** The buffers of one batch. */
class RowBuffers {
  readonly builders: readonly ColumnBuilder[]
  /** Where each row begins in the framed bytes. */
  begins = new Int32Array(0)
  readonly #pool: BufferPool

  constructor(options: ReaderOptions) {
    this.#pool = options.pool
    this.builders = options.schema.fields.map((field) => columnBuilder(field.type, options.pool))
  }

  /** Parses the framed rows; returns those with a faulty value, and the first field that has one. */
  parse(framer: CsvFramer, data: Uint8Array, options: ReaderOptions): Map<number, Field> {
    const { rows, starts, ends, spans } = framer
    const { schema, columns, width } = options
    const faulty = new Map<number, Field>()
    schema.fields.forEach((field, i) => {
      const slices: Slices = { data, starts, ends, base: columns[i] as number, stride: width, rows }
      parseColumn(slices, this.builders[i] as ColumnBuilder, (row) => {
        if (!faulty.has(row)) faulty.set(row, field)
      })
    })
    this.#keepBegins(spans, rows)
    return faulty
  }

  free(): void {
    for (const builder of this.builders) builder.free()
    if (this.begins.length > 0) this.#pool.give(new Uint8Array(this.begins.buffer))
  }

  #keepBegins(spans: Int32Array, rows: number): void {
    if (this.begins.length < rows) {
      if (this.begins.length > 0) this.#pool.give(new Uint8Array(this.begins.buffer))
      this.begins = new Int32Array(this.#pool.take(rows * 4).buffer as ArrayBuffer)
    }
    const { begins } = this
    for (let row = 0; row < rows; row++) begins[row] = spans[row * 2] as number
  }
}
