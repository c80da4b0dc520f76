import { tortureBson, tortureDocuments, tortureIds } from '@nebula/testkit/documents'
import type { RawElement } from '@nebula/testkit/raw-bson'
import { array, document, element, int32 } from '@nebula/testkit/raw-bson'
import { expect, test } from 'vitest'
import { batchOf, encoderOf, fieldsOf, nesting } from './bson-batches.ts'

const id = (value: number): RawElement => element('_id', 0x10, int32(value))

const COLLECTIONS: { readonly [name: string]: readonly (readonly RawElement[])[] } = {
  'values in columns of their types': tortureBson.map(({ alias, type, bytes }, i) => [
    id(i),
    element(alias, type, bytes),
  ]),
  'values in a column of another type': tortureBson.map(({ type, bytes }, i) => [id(i), element('v', type, bytes)]),
  'values in documents': tortureBson.map(({ type, bytes }, i) => {
    return [id(i), element('within', 0x03, document([element('v', type, bytes)]))]
  }),
  'values in arrays': tortureBson.map(({ type, bytes }, i) => [id(i), element('list', 0x04, array([{ type, bytes }]))]),
  'fields of documents': tortureDocuments.map(({ elements }, i) => [
    id(i),
    element('in', 0x03, document([...elements])),
  ]),
  fields: tortureDocuments.map(({ elements }, i) => [id(i), ...elements]),
  ids: tortureIds.map(({ type, bytes }) => [element('_id', type, bytes)]),
}

/** The bytes of each element, in the order of their names. */
function told(elements: readonly RawElement[]): string[] {
  const names = elements.map(({ name }) => name.toString('latin1'))
  const order = elements.map((_, i) => i).sort((a, b) => compare(names[a], names[b]) || a - b)
  return order.map((i) => document([elements[i] as RawElement]).toString('hex'))
}

const compare = (a = '', b = ''): number => (a < b ? -1 : Number(a > b))

const WAYS = {
  json: undefined,
  struct: nesting({ objects: 'struct' }),
  'struct and list': nesting({ objects: 'struct', arrays: 'list' }),
  flatten: nesting({ objects: 'flatten', arrays: 'list' }),
  'flatten to depth 3': nesting({ objects: 'flatten', flattenDepth: 3 }),
}

test.for(
  Object.keys(COLLECTIONS).flatMap((name) => Object.entries(WAYS).map(([way, how]) => [name, way, how] as const)),
)('%s are the same bytes after columns and overflow, by %s', ([name, , how]) => {
  const all = COLLECTIONS[name] ?? []
  const raw = all.map(document)
  const fields = fieldsOf(raw, how ? { nesting: how } : {})
  const batch = batchOf(raw, { fields })
  expect(batch.rejected).toEqual([])
  const encoder = encoderOf(fields)
  const { data, offsets, rejected } = encoder.encode(batch, 0, batch.rows)
  expect(rejected).toEqual([])
  for (const [row, elements] of all.entries()) {
    const found = data.subarray(offsets[row], offsets[row + 1])
    expect(split(found, elements)).toEqual(told(elements))
  }
  encoder.free()
  batch.release()
})

/** The elements of a document, which are some of these in some order, as `told` has them. */
function split(bytes: Uint8Array, elements: readonly RawElement[]): string[] {
  const left = [...elements]
  const found: RawElement[] = []
  for (let at = 4; at < bytes.length - 1;) {
    const index = left.findIndex((one) => {
      const whole = document([one]).subarray(4, -1)
      return whole.equals(bytes.subarray(at, at + whole.length))
    })
    const [one] = index < 0 ? [] : left.splice(index, 1)
    if (!one) return [`something else at ${at}`]
    found.push(one)
    at += document([one]).length - 5
  }
  return told(found)
}
