/** `10 ** i` for every power that a double holds exactly. */
export const POWERS_OF_TEN: Float64Array = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`))

/** The digits `data[from] .. data[to]` as an integer; -1 when one is no digit. At most 9. */
export function digitsOf(data: Uint8Array, from: number, to: number): number {
  let value = 0
  for (let i = from; i < to; i++) {
    const digit = (data[i] as number) - 48
    if (digit >>> 0 > 9) return -1
    value = (value * 10 + digit) | 0
  }
  return value
}

/** The digits `data[from] .. data[to]` as an integer; -1 when one is no digit. At most 15, none is 0. */
export function longDigitsOf(data: Uint8Array, from: number, to: number): number {
  if (to - from <= 9) return digitsOf(data, from, to)
  const upper = digitsOf(data, from, to - 9)
  const lower = digitsOf(data, to - 9, to)
  return (upper | lower) < 0 ? -1 : upper * 1e9 + lower
}

/** The two digits at `at`; 100 when one is no digit. */
export function twoDigits(data: Uint8Array, at: number): number {
  const tens = (data[at] as number) - 48
  const ones = (data[at + 1] as number) - 48
  return tens >>> 0 > 9 || ones >>> 0 > 9 ? 100 : (tens * 10 + ones) | 0
}

/** True when `data[start] .. data[end]` is `word`, which is lower-case letters, in any case. */
export function isWord(data: Uint8Array, start: number, end: number, word: string): boolean {
  if (end - start !== word.length) return false
  for (let i = 0; i < word.length; i++) if (((data[start + i] as number) | 32) !== word.charCodeAt(i)) return false
  return true
}

/** ASCII bytes as a string, for rare forms that JavaScript parses. */
export function asciiText(data: Uint8Array, start: number, end: number): string {
  return String.fromCharCode.apply(null, data.subarray(start, end) as unknown as number[])
}
