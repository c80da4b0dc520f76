/** Equal for texts of JSON that are the same value: spaces, escapes and the notation of numbers are left out. */
export function jsonValue(text: string): string {
  const withText = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === 'number' ? plainNumber(context?.source ?? String(value)) : value
  return JSON.stringify(JSON.parse(text, withText))
}

/** All digits, which a number of JavaScript may not hold, without zeros at their ends, and an exponent. */
function plainNumber(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:e(.+))?$/i.exec(text) ?? []
  const digits = `${whole}${fraction}`.replace(/0+$/, '')
  const kept = digits.replace(/^0+/, '')
  return `number ${sign}${kept}e${kept === '' ? 0 : Number(exponent) + whole.length - digits.length}`
}
