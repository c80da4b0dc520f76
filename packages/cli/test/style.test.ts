import { WriteStream } from 'node:tty'
import { describe, expect, test, vi } from 'vitest'
import { bytesText, countText, plural, style, table } from '../src/style.ts'

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [999.4, '999 B'],
  [1000, '1.0 kB'],
  [1250, '1.3 kB'],
  [999_949, '999.9 kB'],
  [999_950, '1.0 MB'],
  [1_500_000_000, '1.5 GB'],
  [2e15, '2000.0 TB'],
])('%d bytes are %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text)
})

test.each([
  [0, '0'],
  [999.6, '1,000'],
  [1_234_567, '1,234,567'],
])('%d is %s', (count, text) => {
  expect(countText(count)).toBe(text)
})

test('plural', () => {
  expect([0, 1, 2, 1000].map((count) => plural(count, 'row'))).toEqual(['0 rows', '1 row', '2 rows', '1,000 rows'])
})

describe('table', () => {
  test('aligns its first columns left, the others right', () => {
    const rows = [
      ['stream', 'rows'],
      ['a', '5'],
      ['much longer', '1,234'],
    ]
    expect(table(rows)).toBe('stream        rows\na                5\nmuch longer  1,234')
    expect(table(rows, 2)).toBe('stream       rows\na            5\nmuch longer  1,234')
  })

  test('takes rows that are shorter, and none', () => {
    expect(table([['a', 'b'], ['ccc']])).toBe('a    b\nccc')
    expect(table([])).toBe('')
  })
})

describe('style', () => {
  const stream = (isTTY: boolean): NodeJS.WriteStream =>
    Object.assign(Object.create(WriteStream.prototype) as NodeJS.WriteStream, { isTTY, writable: true })

  test('colours for a terminal, not for a file, not with NO_COLOR', () => {
    vi.stubEnv('TERM', 'xterm-256color')
    vi.stubEnv('NO_COLOR', undefined)
    vi.stubEnv('FORCE_COLOR', undefined)
    vi.stubEnv('CI', undefined)
    vi.stubEnv('TERM', 'xterm-256color')
    vi.stubEnv('NODE_DISABLE_COLORS', undefined)
    expect(style('red', 'x', stream(true))).toBe('\u001B[31mx\u001B[39m')
    expect(style('red', 'x', stream(false))).toBe('x')
    vi.stubEnv('NO_COLOR', '1')
    expect(style('red', 'x', stream(true))).toBe('x')
    vi.unstubAllEnvs()
  })
})
