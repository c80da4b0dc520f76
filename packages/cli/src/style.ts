import { styleText } from 'node:util'

/** Colours where `stream` is a terminal; plain text elsewhere and with NO_COLOR. */
export function style(format: Parameters<typeof styleText>[0], text: string, stream: NodeJS.WriteStream): string {
  return styleText(format, text, { stream })
}

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB'] as const

/** Bytes for people: `12.3 MB`. */
export function bytesText(bytes: number): string {
  let value = bytes
  let unit = 0
  // What would be written as 1000.0 is one of the next.
  while (value >= 999.95 && unit < SIZES.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${SIZES[unit]}`
}

/** Counts for people: `1,234,567`. */
export function countText(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

/** `1 row`, `2 rows`. */
export function plural(count: number, word: string): string {
  return `${countText(count)} ${word}${count === 1 ? '' : 's'}`
}

/** Left-aligned first column, right-aligned others. */
export function table(rows: readonly (readonly string[])[], leftColumns = 1): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i < leftColumns ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A name or value of the data in one line, without what would move the cursor or colour the terminal. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, (control) => {
    return SHORT[control] ?? `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
