import type { Column, WireRows } from '@nebula/core'

/**
 * Whole rows of PostgreSQL as they travel: the CopyData messages of its COPY protocol (docs 55.2.6), a row in each,
 * without the header and the trailer of a file. A message is its type, an int32 length, and the row.
 */
export const BINARY_WIRE = 'postgres/copy-binary'
export const TEXT_WIRE = 'postgres/copy-text'

export const COPY_DATA = 0x64
/** A message's type and length. */
export const FRAME_HEAD = 5

/** Where encoded bytes go: `view` is over `bytes`. */
export interface Output {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Rows of columns to the bytes that COPY FROM takes. */
export interface RowEncoder {
  /** Turns to some rows of a batch; returns the bytes that they take at most. */
  begin(columns: readonly Column[], from: number, to: number, wire?: WireRows): number
  /** Writes these rows to `at`, where there is room for them; returns their end. */
  write(out: Output, at: number): number
  /** Gives scratch memory back. */
  free(): void
}

/** Writes the head of a CopyData message that fills `bytes` up to `end`. */
export function frameCopyData({ bytes, view }: Output, end: number): void {
  bytes[0] = COPY_DATA
  view.setInt32(1, end - 1)
}

/** A whole CopyData message of a payload. */
export function copyData(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEAD + payload.length)
  bytes.set(payload, FRAME_HEAD)
  frameCopyData({ bytes, view: new DataView(bytes.buffer) }, bytes.length)
  return bytes
}
