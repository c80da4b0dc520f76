import { Decimal128 } from 'bson'

/** A number as digits without zeros at their end, and the exponent of the last. */
function normal(text: string): string {
  const [, minus = '', whole = '', fraction = '', exponent = '0'] =
    /^\+?(-?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text) ?? []
  const digits = (whole + fraction).replace(/^0+/, '')
  const significant = digits.replace(/0+$/, '')
  if (significant === '') return `${minus}0`
  return `${minus}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`
}

/**
 * What bson makes of a text; undefined where it refuses, and where it cuts digits, which it does when the first is 0. A
 * zero before the point is one digit too many for it where 34 and a zero come behind.
 */
export function exactDecimal(text: string): Decimal128 | undefined {
  try {
    const decimal = Decimal128.fromString(text.replace(/^([+-]?)0(?=\.\d)/, '$1'))
    return /[a-df-z]/i.test(text) || normal(decimal.toString()) === normal(text) ? decimal : undefined
  } catch {
    return undefined
  }
}
