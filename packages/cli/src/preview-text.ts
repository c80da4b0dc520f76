import type { StreamPreview } from '@nebula/inspect'
import { oneLine, plural, style } from './style.ts'

/** Columns of a terminal that one value takes, at most. */
const WIDEST_CELL = 40
/** No value is written so. */
const NULL = '∅'
/** Characters that take two columns. */
const WIDE = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}/u

/** The first rows as a table of at most `width` columns of a terminal; columns that do not fit are put below. */
export function previewText({ stream, columns, rows, rejected }: StreamPreview, width: number): string {
  const cells = columns.map(({ name, type }, i) => {
    const values = rows.map((row) => row[i] ?? null)
    return [shown(name), type, ...values.map((value) => (value === null ? NULL : shown(value)))]
  })
  const bad = rejected > 0 ? `, ${plural(rejected, 'row')} cannot be read` : ''
  const head = style('bold', oneLine(stream), process.stdout)
  const blocks = folded(cells, width).map(blockText)
  return [`${head} (${plural(rows.length, 'row')}${bad})`, ...blocks].join('\n\n').replace('\n\n', '\n')
}

/** In one line, and cut. */
function shown(value: string): string {
  const line = oneLine(value)
  if (widthOf(line) <= WIDEST_CELL) return line
  let kept = ''
  let used = 1
  for (const { segment } of characters.segment(line)) {
    used += widthOf(segment)
    if (used > WIDEST_CELL) break
    kept += segment
  }
  return `${kept}…`
}

const characters = new Intl.Segmenter()

function widthOf(text: string): number {
  let width = 0
  for (const { segment } of characters.segment(text)) width += WIDE.test(segment) ? 2 : 1
  return width
}

/** Groups of columns, each as wide as the terminal at most, unless one column is wider. */
function folded(cells: readonly string[][], width: number): string[][][] {
  const groups: string[][][] = []
  let used = Infinity
  for (const column of cells) {
    const wide = Math.max(...column.map(widthOf)) + 2
    if (used + wide - 2 > width) {
      groups.push([])
      used = 0
    }
    groups.at(-1)?.push(column)
    used += wide
  }
  return groups
}

function blockText(columns: readonly string[][]): string {
  const widths = columns.map((column) => Math.max(...column.map(widthOf)))
  const lines = Array.from({ length: columns[0]?.length ?? 0 }, (_, line) =>
    columns
      .map((column, i) => {
        const text = column[line] ?? ''
        const pad = ' '.repeat((widths[i] ?? 0) - widthOf(text))
        return (line === 1 || text === NULL ? style('dim', text, process.stdout) : text) + pad
      })
      .join('  ')
      .trimEnd(),
  )
  return lines.join('\n')
}
