import { nullable, TEXT_TYPES } from '@nebula/testkit/arbitraries'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { documentOf, element, encode } from './bson-documents.ts'

describe.each(TEXT_TYPES.filter(([type]) => type.kind !== 'json'))('%o', (type, values) => {
  test('becomes what it means in BSON, or its row is refused', () => {
    fc.assert(
      fc.property(fc.array(nullable(values), { minLength: 1, maxLength: 30 }), fc.nat(5), (list, skip) => {
        const from = Math.min(skip, list.length)
        const found = encode([{ name: 'field', type, values: list }], {}, from)
        const rows = list.map((value) => (value === null ? [] : element('field', type, value)))
        const kept = rows.flatMap((made, row) => (row >= from && made !== undefined ? [row] : []))
        expect(found.documents).toEqual(kept.map((row) => documentOf([rows[row] ?? []].flat())))
        expect(found.rows ?? kept).toEqual(kept)
        expect(found.rejected.length).toBe(list.length - from - kept.length)
      }),
    )
  })
})
