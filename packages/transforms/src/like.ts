/** One character of any kind, and any number of them, in a compiled pattern. */
const ANY_ONE = -1
const ANY = -2

/**
 * A pattern of `like` as bytes of UTF-8, with `%` and `_` as negative numbers; a backslash before a character makes it
 * stand for itself.
 */
export function compilePattern(pattern: string): Int16Array {
  const codes: number[] = []
  const encoder = new TextEncoder()
  const characters = Array.from(pattern)
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] as string
    if (character === '%') codes.push(ANY)
    else if (character === '_') codes.push(ANY_ONE)
    else codes.push(...encoder.encode(character === '\\' ? characters[++i] : character))
  }
  return Int16Array.from(codes)
}

/**
 * True when the whole of `data[start] .. data[end]` matches, case and all; `_` is one code point. Only the last `%` that
 * was passed is ever tried with more characters: what an earlier one could take, it can.
 */
export function matchesPattern(pattern: Int16Array, data: Uint8Array, start: number, end: number): boolean {
  let at = start
  let code = 0
  let retryCode = -1
  let retryAt = 0
  for (;;) {
    const wanted = code < pattern.length ? (pattern[code] as number) : undefined
    if (wanted === ANY) {
      retryCode = ++code
      retryAt = at
    } else if (wanted === undefined && at === end) return true
    else if (wanted === ANY_ONE && at < end) {
      at = nextCharacter(data, at, end)
      code++
    } else if (wanted !== undefined && at < end && data[at] === wanted) {
      at++
      code++
    } else {
      if (retryCode < 0 || retryAt >= end) return false
      retryAt = nextCharacter(data, retryAt, end)
      at = retryAt
      code = retryCode
    }
  }
}

function nextCharacter(data: Uint8Array, at: number, end: number): number {
  let next = at + 1
  while (next < end && ((data[next] as number) & 0xc0) === 0x80) next++
  return next
}
