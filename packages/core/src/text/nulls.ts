/** True when bit `row` of a validity bitmap says that there is no value; null bitmaps have all. */
export function isMissing(validity: Uint8Array | null, row: number): boolean {
  return validity !== null && ((validity[row >> 3] as number) & (1 << (row & 7))) === 0
}
