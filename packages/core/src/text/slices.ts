/**
 * Where the texts of one column lie in a buffer. Row `i` is `data[starts[base + i * stride]] .. data[ends[...]]`; a
 * start of -1 is null. A CSV frame has one entry per field and a stride of its columns; a bytes column a stride of 1.
 */
export interface Slices {
  readonly data: Uint8Array
  readonly starts: Int32Array
  readonly ends: Int32Array
  readonly base: number
  readonly stride: number
  readonly rows: number
}
