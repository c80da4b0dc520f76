import type { BufferPool, Column } from '@nebula/core'
import { BytesBuilder, formatColumn, utf8 } from '@nebula/core'
import type { Output, RowEncoder } from './frame.ts'

const BACKSLASH = 0x5c
const TAB = 0x09
const NEWLINE = 0x0a
const RETURN = 0x0d
/** The letter behind the backslash, for bytes that mean something in a line; 0 for others. */
const ESCAPES = new Uint8Array(256)
ESCAPES[BACKSLASH] = BACKSLASH
ESCAPES[TAB] = 0x74
ESCAPES[NEWLINE] = 0x6e
ESCAPES[RETURN] = 0x72

/**
 * Encodes lines of COPY's text format (docs, SQL command COPY, "Text Format"): for columns whose values the server must
 * parse. One copy may hold the bytes of any number of lines, so that rows are known by their line.
 */
export class LineEncoder implements RowEncoder {
  readonly #pool: BufferPool
  #texts: BytesBuilder[] = []
  #columns: Column[] = []
  #rows = 0

  constructor(pool: BufferPool) {
    this.#pool = pool
  }

  begin(columns: readonly Column[], from: number, to: number): number {
    this.#rows = to - from
    let total = 0
    this.#columns = columns.map((column, i) => {
      const text = (this.#texts[i] ??= new BytesBuilder(utf8, this.#pool))
      formatColumn(column, text, from, to)
      total += text.size * 2 + this.#rows * 3
      return text.finish()
    })
    return total + this.#rows
  }

  write({ bytes }: Output, at: number): number {
    let to = at
    for (let row = 0; row < this.#rows; row++) {
      for (let i = 0; i < this.#columns.length; i++) {
        if (i > 0) bytes[to++] = TAB
        to = putText(this.#columns[i] as Column, row, bytes, to)
      }
      bytes[to++] = NEWLINE
    }
    return to
  }

  free(): void {
    for (const text of this.#texts) text.free()
    this.#texts = []
  }
}

function putText(column: Column, row: number, out: Uint8Array, at: number): number {
  if (column.layout !== 'bytes') return at
  const { validity, offsets, data } = column
  let to = at
  if (validity !== null && ((validity[row >> 3] as number) & (1 << (row & 7))) === 0) {
    out[to++] = BACKSLASH
    out[to++] = 0x4e
    return to
  }
  const end = offsets[row + 1] as number
  for (let i = offsets[row] as number; i < end; i++) {
    const byte = data[i] as number
    const escape = ESCAPES[byte] as number
    if (escape !== 0) out[to++] = BACKSLASH
    out[to++] = escape === 0 ? byte : escape
  }
  return to
}
