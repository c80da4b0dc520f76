/** The value of each byte as a hex digit; 255 where it is none. */
export const HEX_VALUES: Uint8Array = new Uint8Array(256).fill(255)

/** The lower-case hex digits. */
export const HEX_DIGITS: Uint8Array = new Uint8Array(16)

for (let i = 0; i < 16; i++) {
  const digit = i.toString(16)
  HEX_DIGITS[i] = digit.charCodeAt(0)
  HEX_VALUES[digit.charCodeAt(0)] = i
  HEX_VALUES[digit.toUpperCase().charCodeAt(0)] = i
}

/** Where each byte of a uuid stands in its 36 characters. */
export const UUID_PLACES: Int32Array = Int32Array.of(0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34)
