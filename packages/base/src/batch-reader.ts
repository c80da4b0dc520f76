import type { AnyBuilder, Column, RecordBatch, Rejection } from '@nebula/core'
import { anyBuilder, BufferPool, copyValue, createBatch } from '@nebula/core'

/** Rows that were copied out of a batch. */
interface Piece {
  readonly rows: number
  readonly columns: readonly Column[]
  readonly builders: readonly AnyBuilder[]
}

/** Cuts a stream of batches anew: into batches of as many rows as are asked for. */
export class BatchReader {
  readonly #batches: AsyncIterator<RecordBatch>
  /** Does not count against the memory under which the source reads: what is asked for must fit. */
  readonly #pool = new BufferPool(Infinity)
  #current: RecordBatch | undefined
  /** The next row of it. */
  #from = 0
  #given = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(batches: AsyncIterable<RecordBatch>) {
    this.#batches = batches[Symbol.asyncIterator]()
  }

  /** The next `rows` rows, fewer at the end; undefined behind it. The caller owns the batch. */
  next(rows: number): Promise<RecordBatch | undefined> {
    const next = this.#last.then(() => this.#next(rows))
    this.#last = next.catch(() => {})
    return next
  }

  async #next(rows: number): Promise<RecordBatch | undefined> {
    const pieces: Piece[] = []
    const rejected: Rejection[] = []
    let last: RecordBatch | undefined
    let missing = rows
    try {
      while (missing > 0) {
        const batch = (this.#current ??= await this.#pull(rejected))
        if (!batch) break
        last = batch
        if (pieces.length === 0 && rejected.length === batch.rejected.length && this.#isWhole(batch, rows)) {
          return this.#handOver(batch)
        }
        const taken = Math.min(missing, batch.rows - this.#from)
        if (taken > 0) pieces.push(this.#copy(batch, this.#from, this.#from + taken))
        missing -= taken
        this.#from += taken
        if (this.#from === batch.rows) this.#drop()
      }
    } catch (error) {
      for (const piece of pieces) free(piece.builders)
      throw error
    }
    if (!last || (pieces.length === 0 && rejected.length === 0)) return undefined
    return this.#joined(last, pieces, rejected)
  }

  /** Ends the reading. */
  async close(): Promise<void> {
    this.#drop()
    await this.#batches.return?.()
  }

  async #pull(rejected: Rejection[]): Promise<RecordBatch | undefined> {
    const next = await this.#batches.next()
    if (next.done === true) return undefined
    rejected.push(...next.value.rejected)
    this.#from = 0
    return next.value
  }

  #isWhole(batch: RecordBatch, rows: number): boolean {
    return this.#from === 0 && batch.rows === rows
  }

  #handOver(batch: RecordBatch): RecordBatch {
    this.#current = undefined
    this.#given += batch.rows
    return batch
  }

  #drop(): void {
    this.#current?.release()
    this.#current = undefined
  }

  #copy(batch: RecordBatch, from: number, to: number): Piece {
    const builders = batch.schema.fields.map(({ type }) => anyBuilder(type, this.#pool))
    const columns = builders.map((builder, i) => {
      const column = batch.column(i)
      builder.start(to - from)
      for (let row = from; row < to; row++) copyValue(column, row, builder, row - from)
      return builder.finish()
    })
    return { rows: to - from, columns, builders }
  }

  #joined({ stream, schema }: RecordBatch, pieces: readonly Piece[], rejected: readonly Rejection[]): RecordBatch {
    const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0)
    const [alone] = pieces.length === 1 ? pieces : []
    const whole =
      alone ??
      this.#concatenated(
        schema.fields.map(({ type }) => anyBuilder(type, this.#pool)),
        pieces,
      )
    const first = this.#given
    this.#given += rows
    return createBatch({
      stream,
      schema,
      rows,
      columns: whole.columns,
      rejected,
      place: (row) => `row ${first + row + 1} of ${stream}`,
      onRelease: () => free(whole.builders),
    })
  }

  #concatenated(builders: readonly AnyBuilder[], pieces: readonly Piece[]): Piece {
    const rows = pieces.reduce((sum, piece) => sum + piece.rows, 0)
    const columns = builders.map((builder, i) => {
      builder.start(rows)
      let at = 0
      for (const piece of pieces) {
        const column = piece.columns[i] as Column
        for (let row = 0; row < piece.rows; row++) copyValue(column, row, builder, at++)
      }
      return builder.finish()
    })
    for (const piece of pieces) free(piece.builders)
    return { rows, columns, builders }
  }
}

function free(builders: readonly AnyBuilder[]): void {
  for (const builder of builders) builder.free()
}
