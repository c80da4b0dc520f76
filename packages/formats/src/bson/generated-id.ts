/**
 * Writes to `bytes[at]` the ObjectId of a row that has none: eight bytes of `seed`, a hash of what is copied, then the
 * row's number, big-endian, so that repeating the copy makes the same. The bits of rows past 2^32 change the seed's end.
 */
export function generatedId(seed: Uint8Array, row: number, bytes: Uint8Array, at: number): void {
  const upper = Math.floor(row / 4_294_967_296)
  for (let i = 0; i < 8; i++) bytes[at + i] = seed[i] as number
  for (let i = 0; i < 4; i++) {
    const shift = 24 - i * 8
    bytes[at + 4 + i] = (bytes[at + 4 + i] as number) ^ (upper >>> shift)
    bytes[at + 8 + i] = row >>> shift
  }
}
