import { Decimal128 } from 'bson'

/** A number as its digits from the first that is not 0, and the exponent of the last; undefined for other texts. */
function parsed(
  text: string,
): { readonly minus: string; readonly digits: string; readonly exponent: number } | undefined {
  const found = /^\+?(-?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(text)
  if (!found || !/\d/.test(text)) return undefined
  const [, minus = '', whole = '', fraction = '', exponent = '0'] = found
  const digits = (whole + fraction).replace(/^0+(?=\d)/, '')
  return { minus, digits, exponent: Number(exponent) - fraction.length }
}

/** The same without zeros at its end. */
function normal(text: string): string {
  const { minus = '', digits = '', exponent = 0 } = parsed(text) ?? {}
  const significant = digits.replace(/0+$/, '')
  return significant === '' ? `${minus}0` : `${minus}${significant}e${exponent + digits.length - significant.length}`
}

/**
 * What bson makes of a text; undefined where it refuses, and where it cuts digits. It is given whole digits and an
 * exponent: zeros before the first digit, and a point among zeros at the end, are too much for it where 34 digits and a
 * zero come behind.
 */
export function exactDecimal(text: string): Decimal128 | undefined {
  const number = parsed(text)
  try {
    const decimal = Decimal128.fromString(number ? `${number.minus}${number.digits}e${number.exponent}` : text)
    return number === undefined || normal(decimal.toString()) === normal(text) ? decimal : undefined
  } catch {
    return undefined
  }
}
