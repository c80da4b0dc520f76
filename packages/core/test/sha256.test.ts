import { createHash, createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { appendShortSha256, BufferPool, BytesBuilder, SHORT_SHA256_BYTES, ShortHmac, utf8 } from '../src/index.ts'

function digests(values: readonly Uint8Array[]): string[] {
  const out = new BytesBuilder(utf8, new BufferPool(1e9))
  out.start(values.length)
  out.ensure(values.length * 64)
  const ends: number[] = []
  for (const value of values) {
    // Not at the beginning of its memory, and with other bytes behind it.
    const data = Uint8Array.of(9, ...value, 9)
    appendShortSha256(new DataView(data.buffer), 1, 1 + value.length, out)
    ends.push(out.size)
  }
  return ends.map((end) => Buffer.from(out.data.subarray(end - 64, end)).toString())
}

const expected = (value: Uint8Array): string => createHash('sha256').update(value).digest('hex')

test('every length that makes one block', () => {
  const values = Array.from({ length: SHORT_SHA256_BYTES + 1 }, (_, length) =>
    Uint8Array.from({ length }, (_byte, i) => (i * 37) & 0xff),
  )
  expect(digests(values)).toEqual(values.map(expected))
})

test('any bytes, one value after the other', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: SHORT_SHA256_BYTES })), (values) => {
      expect(digests(values)).toEqual(values.map(expected))
    }),
  )
})

test('keyed, with any key of at most a block', () => {
  const short = fc.uint8Array({ maxLength: SHORT_SHA256_BYTES })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(short, { minLength: 1 }), (key, values) => {
      const hmac = new ShortHmac(key)
      const out = new BytesBuilder(utf8, new BufferPool(1e9))
      out.start(values.length)
      out.ensure(values.length * 64)
      for (const value of values) hmac.append(new DataView(value.slice().buffer), 0, value.length, out)
      const wanted = values.map((value) => createHmac('sha256', key).update(value).digest('hex')).join('')
      expect(Buffer.from(out.data.subarray(0, out.size)).toString()).toBe(wanted)
    }),
  )
})
