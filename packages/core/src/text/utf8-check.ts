/** True when `data[start] .. data[end]` is well-formed UTF-8 (Unicode, table 3-7): no surrogates, no overlong forms. */
export function isUtf8(data: Uint8Array, start: number, end: number): boolean {
  let at = start
  while (at < end) {
    const lead = data[at] as number
    if (lead < 0x80) {
      at++
      continue
    }
    const length = sequenceLength(lead)
    if (length === 0 || at + length > end || !isSecond(lead, data[at + 1] as number)) return false
    for (let i = 2; i < length; i++) if (((data[at + i] as number) & 0xc0) !== 0x80) return false
    at += length
  }
  return true
}

/** Bytes of a sequence with this first byte, at least 0x80; 0 when none begins so. */
function sequenceLength(lead: number): number {
  if (lead < 0xc2 || lead > 0xf4) return 0
  if (lead < 0xe0) return 2
  return lead < 0xf0 ? 3 : 4
}

/** The second byte carries the bounds that keep out overlong forms, surrogates and what lies past U+10FFFF. */
function isSecond(lead: number, second: number): boolean {
  if (lead === 0xe0) return second >= 0xa0 && second <= 0xbf
  if (lead === 0xed) return second >= 0x80 && second <= 0x9f
  if (lead === 0xf0) return second >= 0x90 && second <= 0xbf
  if (lead === 0xf4) return second >= 0x80 && second <= 0x8f
  return (second & 0xc0) === 0x80
}
