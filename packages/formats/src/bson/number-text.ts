/** True when a number of JSON is still the same number as the double that is nearest to it: no digit is lost. */
export function keepsDigits(text: string, value: number): boolean {
  if (significant(text) === significant(String(value))) return true
  return Number.isInteger(value) && /^-?\d+$/.test(text) && BigInt(text) === BigInt(value)
}

/** Digits without zeros at their ends, and the exponent of the last; without a sign. */
function significant(text: string): string {
  const [, whole = '', fraction = '', exponent = '0'] = /^-?(\d+)(?:\.(\d+))?(?:e(.+))?$/i.exec(text) ?? []
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  const kept = digits.replace(/0+$/, '')
  return kept === '' ? '' : `${kept}e${Number(exponent) - fraction.length + digits.length - kept.length}`
}
