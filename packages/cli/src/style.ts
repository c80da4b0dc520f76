import { styleText } from 'node:util'

/** Colours where `stream` is a terminal; plain text elsewhere and with NO_COLOR. */
export function style(format: Parameters<typeof styleText>[0], text: string, stream: NodeJS.WriteStream): string {
  return styleText(format, text, { stream })
}

/** A name from outside as a terminal may have it: without control characters. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?')
}

/** Letters of East Asia, and pictures. */
const WIDE = /[\u1100-\u115F\u2E80-\uD7A3\uF900-\uFAFF\uFE30-\uFF60\uFFE0-\uFFE6\u{1F000}-\u{3FFFD}]/gu

/** The columns that a text takes on a terminal, at most: wide letters take two. */
export function textWidth(text: string): number {
  return Array.from(text).length + (text.match(WIDE)?.length ?? 0)
}

/** Bytes for people: `12.3 MB`. Runs in the browser, too. */
export function bytesText(bytes: number): string {
  const sizes = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  // What would be written as 1000.0 is one of the next.
  while (value >= 999.95 && unit < sizes.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${sizes[unit]}`
}

/** Counts for people: `1,234,567`. Runs in the browser, too. */
export function countText(count: number): string {
  // Not by `toLocaleString`: loading the locales takes as long as a small run.
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `1 row`, `2 rows`. */
export function plural(count: number, word: string): string {
  return `${countText(count)} ${word}${count === 1 ? '' : 's'}`
}

/** What there was of an interrupted run. */
export function resumedText(rows: number): string {
  return rows === 0
    ? 'nothing of it was committed'
    : `${plural(rows, 'row')} ${rows === 1 ? 'was' : 'were'} already there`
}

/** How many values of a stream its columns could not hold. */
export function overflowText(values: number): string {
  return `values kept in the overflow column, for their columns cannot hold them: ${countText(values)}`
}

/** How many rows a target had that its source has no longer. */
export function deletedText(rows: number): string {
  return `rows deleted that the source no longer has: ${countText(rows)}`
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
