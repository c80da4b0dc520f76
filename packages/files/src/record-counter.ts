import { BufferPool } from '@nebula/core'
import type { Format, FormatBatch, Preamble } from '@nebula/formats'
import type { ByteStream } from './byte-stream.ts'
import { Marks } from './marks.ts'

const ROWS = 65_536
const BATCH_BYTES = 1024 * 1024

interface Mark {
  /** A record begins here. */
  readonly offset: number
  /** Records before it. */
  readonly records: number
}

/** Opens a file's content from an offset on. */
export type OpenContent = (from: number) => Promise<ByteStream>

/**
 * Numbers of a file's records by offset, from 1, found by framing the file when they are asked for and from the nearest
 * place that is known. Records that give no row count, too; what the format skips does not.
 */
export class RecordCounter {
  readonly #format: Format
  readonly #preamble: Preamble
  readonly #marks: Marks<Mark>

  constructor(format: Format, preamble: Preamble) {
    this.#format = format
    this.#preamble = preamble
    this.#marks = new Marks<Mark>({ offset: preamble.size, records: 0 })
  }

  /** The number of the record that begins at `offset`. */
  async record(offset: number, open: OpenContent): Promise<number> {
    let records = 0
    const mark = this.#marks.last((known) => known.offset <= offset)
    for await (const begins of this.#begins(mark.offset, offset, open)) records += begins.length
    this.#marks.keep({ offset, records: mark.records + records })
    return mark.records + records + 1
  }

  /** Where a record begins, by its number; undefined when the file has fewer. */
  async offset(record: number, open: OpenContent): Promise<number | undefined> {
    const mark = this.#marks.last(({ records }) => records < record)
    let { records } = mark
    for await (const begins of this.#begins(mark.offset, Infinity, open)) {
      const found = begins[record - records - 1]
      if (found !== undefined) return found
      records += begins.length
    }
    return undefined
  }

  /** Where the records begin that lie in `from` to `to`, in order. */
  async *#begins(from: number, to: number, open: OpenContent): AsyncGenerator<readonly number[]> {
    if (from === to) return
    const { names } = this.#preamble
    const pool = new BufferPool(0)
    const limits = { rows: ROWS, bytes: BATCH_BYTES, pool }
    const reader = this.#format.reader({
      schema: { fields: [] },
      columns: [],
      width: names.length,
      offset: from,
      ...limits,
    })
    const stream = await open(from)
    try {
      for (let at = from; ;) {
        const space = reader.space()
        const bytes = await stream.read(space.subarray(0, Math.min(space.length, to - at)))
        if (bytes > 0) reader.filled(bytes)
        else reader.end()
        at += bytes
        for (let batch = reader.next(); batch; batch = reader.next()) {
          yield beginsOf(batch)
          batch.release()
        }
        if (bytes === 0) return
      }
    } finally {
      await stream.close()
      reader.free()
    }
  }
}

function beginsOf(batch: FormatBatch): number[] {
  const rows = Array.from({ length: batch.rows }, (_, row) => batch.offsetOf(row))
  const begins = [...batch.faults.map(({ offset }) => offset), ...rows]
  return batch.faults.length === 0 ? begins : begins.sort((a, b) => a - b)
}
