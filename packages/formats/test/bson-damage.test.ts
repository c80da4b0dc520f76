import fc from 'fast-check'
import { expect, test } from 'vitest'
import { binary, document, element, int32, string } from '@nebula/testkit/raw-bson'
import { rawDocument } from './bson-arbitraries.ts'
import { batchOf, fieldsOf, rowsOf } from './bson-batches.ts'

const UUID = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex')

/** A naive twin: true when the bytes are one document with all that is nested in it. */
function isDocument(bytes: Buffer): boolean {
  if (bytes.length < 5 || bytes.readInt32LE(0) !== bytes.length || bytes.at(-1) !== 0) return false
  const end = bytes.length - 1
  let at = 4
  while (at < end) {
    const type = bytes[at] as number
    const name = bytes.indexOf(0, at + 1)
    if (name < 0 || name >= end) return false
    const size = sizeOf(type, bytes.subarray(name + 1, end))
    if (size < 0) return false
    at = name + 1 + size
  }
  return at === end
}

const FIXED: ReadonlyMap<number, number> = new Map(
  Object.entries({ 1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0 }).map(
    ([type, size]) => [Number(type), size],
  ),
)

/** Bytes of the value that `rest` begins with; -1 when it is none. */
function sizeOf(type: number, rest: Buffer): number {
  const size = FIXED.get(type) ?? (type === 0x0b ? regexSize(rest) : rest.length < 4 ? -1 : measuredSize(type, rest))
  return size <= rest.length ? size : -1
}

function regexSize(rest: Buffer): number {
  const options = rest.includes(0) ? rest.indexOf(0, rest.indexOf(0) + 1) : -1
  return options < 0 ? -1 : options + 1
}

function stringSize(rest: Buffer): number {
  const length = rest.length < 4 ? 0 : rest.readInt32LE(0)
  return length >= 1 && 4 + length <= rest.length && rest[3 + length] === 0 ? 4 + length : -1
}

function measuredSize(type: number, rest: Buffer): number {
  const length = rest.readInt32LE(0)
  const whole = rest.subarray(0, Math.max(0, length))
  if ([0x02, 0x0d, 0x0e].includes(type)) return stringSize(rest)
  if (type === 0x0c) return stringSize(rest) < 0 ? -1 : stringSize(rest) + 12
  if (type === 0x05) return length >= 0 ? 5 + length : -1
  if (type === 0x03 || type === 0x04) return isDocument(whole) ? length : -1
  if (type !== 0x0f || length > rest.length || length < 4) return -1
  const code = stringSize(whole.subarray(4))
  return code >= 0 && isDocument(whole.subarray(4 + code)) ? length : -1
}

const damage = fc.oneof(
  fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ at: fc.nat(), byte: fc.constantFrom(0, 1, 3, 255) }),
)

test('a damaged document is a rejected row, and none that is whole', () => {
  const fields = fieldsOf([document([])], { documents: true })
  let damaged = 0
  fc.assert(
    fc.property(
      rawDocument({ usual: false }),
      fc.array(damage, { maxLength: 3 }),
      fc.nat({ max: 3 }),
      (bytes, changes, cut) => {
        const changed = Buffer.from(bytes.subarray(0, bytes.length - (cut === 0 ? 1 : 0)))
        for (const { at, byte } of changes) changed[at % changed.length] = byte
        const neighbour = document([element('x', 0x02, string('stays'))])
        const batch = batchOf([neighbour, changed, neighbour], { fields, documents: true })
        const whole = isDocument(changed)
        damaged += whole ? 0 : 1
        expect(batch.rejected.map(({ raw }) => raw)).toEqual(whole ? [] : [Uint8Array.from(changed)])
        expect(rowsOf(batch).filter(({ document: text }) => text === '{"x":"stays"}').length).toBeGreaterThanOrEqual(2)
        expect(batch.rows).toBe(whole ? 3 : 2)
      },
    ),
    { numRuns: 2000 },
  )
  expect(damaged).toBeGreaterThan(100)
})

test('damage never leads out of the document: what lies behind it is never read', () => {
  const sample = document([
    element('_id', 0x10, int32(1)),
    element('a', 0x02, string('x')),
    element('b', 0x03, document([])),
    element('c', 0x05, binary(0, UUID)),
  ])
  const fields = fieldsOf([sample])
  for (let at = 4; at < sample.length - 1; at++) {
    for (const byte of [0, 1, 5, 127, 128, 255]) {
      const changed = Buffer.from(sample)
      changed[at] = byte
      const secret = document([element('_id', 0x10, int32(2)), element('a', 0x02, string('secret'))])
      const batch = batchOf([changed, secret], { fields })
      const rows = rowsOf(batch)
      expect(rows.length + batch.rejected.length).toBe(2)
      expect(rows.at(-1)).toEqual({ _id: 2, a: 'secret' })
      expect(JSON.stringify(rows.slice(0, -1))).not.toContain('secret')
    }
  }
})
