import type { BytesColumn, Column } from '@nebula/core'
import { BufferPool, BytesBuilder, FixedBuilder, utf8 } from '@nebula/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LineEncoder } from '../src/index.ts'

type Texts = readonly (string | null)[]

const pool = new BufferPool(1e9)

function textColumn(texts: Texts): BytesColumn {
  const builder = new BytesBuilder(utf8, pool)
  builder.start(texts.length)
  for (const [row, text] of texts.entries()) {
    const bytes = Buffer.from(text ?? '')
    if (text === null) builder.appendNull(row)
    else builder.append(row, bytes, 0, bytes.length)
  }
  return builder.finish()
}

/** The lines, written behind a first byte that is not theirs; checks that they take no more than was said. */
function lines(encoder: LineEncoder, columns: readonly Column[], from: number, to: number): string {
  const needed = encoder.begin(columns, from, to)
  const bytes = new Uint8Array(needed + 1)
  const end = encoder.write({ bytes, view: new DataView(bytes.buffer) }, 1)
  expect(end).toBeLessThanOrEqual(bytes.length)
  expect(bytes[0]).toBe(0)
  return Buffer.from(bytes.subarray(1, end)).toString()
}

function line(...texts: Texts): string {
  const encoder = new LineEncoder(pool)
  const written = lines(
    encoder,
    texts.map((text) => textColumn([text])),
    0,
    1,
  )
  encoder.free()
  return written
}

/** The naive twin: reads lines as the documentation of COPY says. */
function read(text: string): Texts[] {
  const letters: Record<string, string> = { t: '\t', n: '\n', r: '\r', '\\': '\\' }
  const rows = text.split('\n').slice(0, -1)
  return rows.map((row) => {
    return row.split('\t').map((field) => {
      return field === '\\N' ? null : field.replace(/\\(.)/g, (_, letter: string) => letters[letter] ?? '?')
    })
  })
}

test.each([
  ['a\\b', 'a\\\\b'],
  ['a\tb', 'a\\tb'],
  ['a\nb', 'a\\nb'],
  ['a\r\nb', 'a\\r\\nb'],
  ['\\N', '\\\\N'],
  ['\\.', '\\\\.'],
  ['N, "é" \b\v', 'N, "é" \b\v'],
])('%j is written as %j', (text, written) => {
  expect(line(text)).toBe(`${written}\n`)
})

test('a null and an empty text are two things', () => {
  expect(line(null, '', null)).toBe('\\N\t\t\\N\n')
})

test('other types are written in their canonical text, dictionaries as their entries', () => {
  const numbers = new FixedBuilder({ kind: 'int32' }, pool)
  numbers.start(3)
  numbers.values.set([-5, 0, 70_000])
  numbers.setNull(1)
  const words: Column = {
    layout: 'dictionary',
    type: utf8,
    length: 3,
    validity: Uint8Array.of(0b101),
    indices: Int32Array.of(1, 0, 0),
    dictionary: textColumn(['one', 't\two']),
  }
  const flags: Column = {
    layout: 'bool',
    type: { kind: 'bool' },
    length: 3,
    validity: null,
    bits: Uint8Array.of(0b100),
  }
  expect(lines(new LineEncoder(pool), [numbers.finish(), words, flags], 0, 3)).toBe(
    '-5\tt\\two\tfalse\n\\N\t\\N\tfalse\n70000\tone\ttrue\n',
  )
})

test('any rows of any texts are read back, by one encoder for all batches', () => {
  const unit = fc.oneof(fc.constantFrom('\\', '\t', '\n', '\r', 'N', 't', '.'), fc.string({ unit: 'grapheme' }))
  const texts = fc.option(fc.string({ unit }), { freq: 4 })
  const table = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 20 })).chain(([width, count]) => {
    const row = fc.array(texts, { minLength: width, maxLength: width })
    return fc.tuple(fc.array(row, { minLength: count, maxLength: count }), fc.nat(count), fc.nat(count))
  })
  const encoder = new LineEncoder(new BufferPool(1e9))
  fc.assert(
    fc.property(table, ([rows, one, other]) => {
      const [from, to] = [Math.min(one, other), Math.max(one, other)]
      const columns = (rows[0] ?? []).map((_, i) => textColumn(rows.map((row) => row[i] ?? null)))
      expect(read(lines(encoder, columns, from, to))).toEqual(rows.slice(from, to))
    }),
    { numRuns: 200 },
  )
})

test('its memory is given back', () => {
  const own = new BufferPool(1e9)
  const encoder = new LineEncoder(own)
  lines(encoder, [textColumn(['a', null])], 0, 2)
  expect(own.statistics.used).toBeGreaterThan(0)
  encoder.free()
  expect(own.statistics.used).toBe(0)
})
