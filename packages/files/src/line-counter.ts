import type { ByteStream } from './byte-stream.ts'
import { Marks } from './marks.ts'

const LF = 0x0a
const CR = 0x0d
const CHUNK_BYTES = 256 * 1024

interface Mark {
  readonly offset: number
  /** Line ends before `offset`. */
  readonly lines: number
  /** The byte before `offset` is a CR: an LF that follows belongs to it. */
  readonly afterCr: boolean
}

/**
 * Lines of a file by offset, from 1, counted when they are asked for and from the nearest place that is known. A line
 * ends with LF, CRLF or CR.
 */
export class LineCounter {
  readonly #marks = new Marks<Mark>({ offset: 0, lines: 0, afterCr: false })

  /** The line that begins at `offset`, or holds it. `open` gives the file's content from an offset on. */
  async line(offset: number, open: (from: number) => Promise<ByteStream>): Promise<number> {
    let mark = this.#before(offset)
    if (mark.offset === offset) return mark.lines + 1
    const stream = await open(mark.offset)
    const buffer = new Uint8Array(Math.min(CHUNK_BYTES, offset - mark.offset))
    try {
      while (mark.offset < offset) {
        const bytes = await stream.read(buffer.subarray(0, offset - mark.offset))
        if (bytes === 0) break
        mark = count(mark, buffer, bytes)
      }
    } finally {
      await stream.close()
    }
    return this.#keep(mark)
  }

  /** The same at once, if at most `limit` bytes must be read for it; else undefined. */
  lineNow(offset: number, limit: number, read: (buffer: Uint8Array, position: number) => number): number | undefined {
    let mark = this.#before(offset)
    if (offset - mark.offset > limit) return undefined
    const buffer = new Uint8Array(Math.min(CHUNK_BYTES, offset - mark.offset))
    while (mark.offset < offset) {
      const bytes = read(buffer.subarray(0, offset - mark.offset), mark.offset)
      if (bytes === 0) break
      mark = count(mark, buffer, bytes)
    }
    return this.#keep(mark)
  }

  #before(offset: number): Mark {
    return this.#marks.last((mark) => mark.offset <= offset)
  }

  #keep(mark: Mark): number {
    this.#marks.keep(mark)
    return mark.lines + 1
  }
}

function count({ offset, lines, afterCr }: Mark, buffer: Uint8Array, bytes: number): Mark {
  let ends = 0
  let last = afterCr ? CR : 0
  for (let i = 0; i < bytes; i++) {
    const byte = buffer[i] as number
    if (byte === LF ? last !== CR : byte === CR) ends++
    last = byte
  }
  return { offset: offset + bytes, lines: lines + ends, afterCr: last === CR }
}
