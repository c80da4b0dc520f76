import type { StreamPreview } from '@nebula/inspect'
import { describe, expect, test } from 'vitest'
import { previewText } from '../src/preview-text.ts'

function preview(columns: { readonly [name: string]: readonly (string | null)[] }, rejected = 0): StreamPreview {
  const names = Object.keys(columns)
  const count = Object.values(columns)[0]?.length ?? 0
  const rows = Array.from({ length: count }, (_, row) => names.map((name) => columns[name]?.[row] ?? null))
  return { stream: 's', columns: names.map((name) => ({ name, type: 'utf8' })), rows, rejected }
}

describe('previewText', () => {
  test('tells null from an empty text and from the word', () => {
    expect(previewText(preview({ a: [null, '', 'null'], b: ['x', 'y', 'z'] }), 80)).toBe(
      's (3 rows)\na     b\nutf8  utf8\n∅     x\n      y\nnull  z',
    )
  })

  test('folds a table that is wider than the terminal, with the columns in their order', () => {
    const wide = preview({ a: ['1'.repeat(10)], b: ['2'.repeat(10)], c: ['3'.repeat(30)], d: ['4'] })
    expect(previewText(wide, 22)).toBe(
      [
        's (1 row)',
        'a           b',
        'utf8        utf8',
        '1111111111  2222222222',
        '',
        'c',
        'utf8',
        '3'.repeat(30),
        '',
        'd',
        'utf8',
        '4',
      ].join('\n'),
    )
  })

  test('cuts long values to what fits, also where characters are wide', () => {
    const lines = previewText(preview({ a: ['x'.repeat(41), 'x'.repeat(40), '漢'.repeat(30)] }), 80).split('\n')
    expect(lines.slice(3)).toEqual([`${'x'.repeat(39)}…`, 'x'.repeat(40), `${'漢'.repeat(19)}…`])
  })

  test('lines up columns behind wide characters', () => {
    const lines = previewText(preview({ a: ['漢字', 'abcde', '👩‍👩‍👧'], b: ['1', '2', '3'] }), 80).split('\n')
    expect(lines.slice(3)).toEqual(['漢字   1', 'abcde  2', '👩‍👩‍👧     3'])
  })

  test('lets no value move the cursor', () => {
    const text = previewText(preview({ 'a\nb': ['x\n\t\u001B[31my\u0085\u2028'] }), 80)
    expect(text).toBe('s (1 row)\na\\nb\nutf8\nx\\n\\t\\u001b[31my\\u0085\\u2028')
  })

  test('says how many rows cannot be read, and that there are none', () => {
    expect(previewText(preview({ a: [] }, 2), 80)).toBe('s (0 rows, 2 rows cannot be read)\na\nutf8')
  })
})
