/** The value of each byte as a hex digit; 255 where it is none. */
export const HEX_VALUES: Uint8Array = new Uint8Array(256).fill(255)

for (let i = 0; i < 16; i++) {
  const digit = i.toString(16)
  HEX_VALUES[digit.charCodeAt(0)] = i
  HEX_VALUES[digit.toUpperCase().charCodeAt(0)] = i
}

/** The two lower-case hex digits of each byte, the first in the low byte. */
export const HEX_PAIRS: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  const digits = byte.toString(16).padStart(2, '0')
  return digits.charCodeAt(0) | (digits.charCodeAt(1) << 8)
})

/** Where each byte of a uuid stands in its 36 characters. */
export const UUID_PLACES: Int32Array = Int32Array.of(0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34)
