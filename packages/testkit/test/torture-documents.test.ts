import { tortureBson, tortureDocuments, tortureIds } from '@nebula/testkit/documents'
import { expect, test } from 'vitest'

test('every type of BSON is in the set, the deprecated ones too', () => {
  const types = new Set(tortureBson.map(({ type }) => type))
  expect([...types].sort((a, b) => a - b)).toEqual([...Array.from({ length: 19 }, (_, i) => i + 1), 0x7f, 0xff])
})

test.each([
  ['values', tortureBson],
  ['documents', tortureDocuments],
  ['ids', tortureIds],
] as const)('no two %s are hard for the same reason', (_, all) => {
  const reasons = all.map(({ why }) => why)
  expect(new Set(reasons).size).toBe(reasons.length)
})
