import type { Field, StreamRequest } from '@nebula/core'
import { expect, test } from 'vitest'
import { acceptDocuments, encodingOf } from '../src/bson/accept-documents.ts'
import type { DocumentOptions } from '../src/bson/document-options.ts'

const OPTIONS: DocumentOptions = {
  overflow: '_overflow',
  objectIds: [],
  nested: false,
  validators: false,
  writeNulls: false,
}
const utf8 = { kind: 'utf8' } as const
const ID: Field = { name: '_id', type: { kind: 'int32' }, nullable: false, vendor: 'mongo', declared: 'int' }
const TIME: Field = {
  name: 't',
  type: { kind: 'timestamp', zone: true },
  nullable: true,
  vendor: 'mongo',
  declared: 'date',
}

function accept(
  fields: Field[],
  options: {
    config?: Partial<DocumentOptions>
    wire?: string[]
    columns?: string[]
    transactional?: boolean
    rules?: string
  } = {},
) {
  const {
    config = {},
    wire = ['mongodb/bson'],
    columns = fields.map(({ name }) => name),
    transactional = false,
    rules = '{}',
  } = options
  const request: StreamRequest = { stream: 's', mode: 'overwrite', columns, key: [], rules }
  const offer = { request, schema: { fields }, wire, transactional, stands: false }
  return acceptDocuments({ ...OPTIONS, ...config }, offer)
}

test('documents pass through only where every column is as it was', () => {
  expect(accept([ID, TIME])).toMatchObject({ wire: 'mongodb/bson', replaced: [] })
  expect(accept([ID, { ...TIME, name: 'u' }], { columns: ['_id', 't'] }).wire).toBeUndefined()
  expect(accept([ID, { name: 't', type: utf8, nullable: true }]).wire).toBeUndefined()
  expect(accept([ID], { columns: ['_id', 't'] }).wire).toBeUndefined()
  expect(accept([ID], { wire: ['other'] }).wire).toBeUndefined()
})

test('flattened documents pass through only where they are nested again, and nothing of them is left out', () => {
  const flat: Field = { ...TIME, name: 'a.t', path: ['a', 't'] }
  const rest: Field = { ...TIME, name: '_overflow', type: { kind: 'json' }, declared: 'overflow' }
  const nested = { config: { nested: true } }
  expect(accept([ID, flat, rest], nested).wire).toBe('mongodb/bson')
  expect(accept([ID, flat, rest]).wire).toBeUndefined()
  expect(accept([ID, flat], nested).wire).toBeUndefined()
})

test('structs and lists of MongoDB are kept as such', () => {
  const type = { kind: 'struct', fields: [{ name: 'b', type: { kind: 'list', element: TIME.type } }] } as const
  const struct: Field = { ...TIME, name: 's', type, declared: 'object', offers: [type, { kind: 'json' }, utf8] }
  expect(accept([struct]).columns).toEqual([{ as: type, type: 'object', fidelity: 'exact' }])
})

test('what comes from MongoDB is exact, and times of others lose their microseconds', () => {
  const { vendor: _vendor, declared: _declared, ...foreign } = TIME
  expect(accept([TIME]).columns).toEqual([{ as: TIME.type, type: 'date', fidelity: 'exact' }])
  expect(accept([foreign]).columns[0]).toMatchObject({ as: TIME.type, type: 'date', fidelity: 'lossy' })
})

test('a type that documents cannot hold is taken in the next that its source offers, or refused', () => {
  const native = { kind: 'native', vendor: 'postgres', type: 'tsvector' } as const
  const offered = accept([{ name: 'v', type: native, nullable: true, offers: [native, utf8] }])
  expect([offered.columns[0]?.as, offered.problems]).toEqual([utf8, []])
  const refused = accept([{ name: 'v', type: native, nullable: true }])
  expect(refused.problems).toEqual([expect.objectContaining({ code: 'unsupported', column: 'v' })])
  const list = accept([{ name: '_id', type: { kind: 'list', element: utf8 }, nullable: false }])
  expect(list.problems[0]?.message).toContain('an array cannot be an _id')
})

test('an ObjectId that somebody looked at as text is one again', () => {
  const id: Field = { name: '_id', type: utf8, nullable: false, vendor: 'mongo', declared: 'objectId' }
  expect(encodingOf(OPTIONS, { fields: [id] }).fields).toEqual([
    { name: '_id', type: utf8, role: 'id', as: 'objectId' },
  ])
  expect(accept([id], { wire: [] }).columns).toEqual([{ as: utf8, type: 'objectId', fidelity: 'exact' }])
})

test('names that documents cannot have together are a problem', () => {
  const fields: Field[] = ['a', 'a.b'].map((name) => ({ name, type: utf8, nullable: true }))
  expect(accept(fields).problems).toEqual([])
  expect(accept(fields, { config: { nested: true } }).problems[0]?.code).toBe('target_incompatible')
  expect(accept([{ name: 'a\0', type: utf8, nullable: true }]).problems[0]?.code).toBe('target_incompatible')
})

test('the overflow column and ObjectIds that are text are exact', () => {
  const text = (name: string): Field => ({ name, type: utf8, nullable: true })
  const { columns } = accept([text('_overflow'), text('o')], { config: { objectIds: ['o'] } })
  expect(columns.map(({ type, fidelity }) => [type, fidelity])).toEqual([
    ['overflow', 'exact'],
    ['objectId', 'exact'],
  ])
})

test('the plan says what a deployment promises', () => {
  expect(accept([ID]).guarantee).toBe('at_least_once')
  expect(accept([ID], { transactional: true })).toMatchObject({ guarantee: 'exactly_once', partitionBytes: 16_000_000 })
})

test('a validator goes along with documents that pass as they are, and with no others', () => {
  const config = { validators: true }
  const rules = '{"validator":{"n":{"$exists":true}}}'
  expect(accept([ID], { rules })).toMatchObject({ ddl: ['db.createCollection("s")'], problems: [] })
  expect(accept([ID], { config, rules })).toMatchObject({ ddl: [`db.createCollection("s", ${rules})`], problems: [] })
  expect(accept([ID], { config, rules, wire: [] }).problems).toMatchObject([{ code: 'unsupported' }])
})
