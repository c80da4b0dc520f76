import type { Acceptance, Field, LogicalType, StreamInfo, TargetInfo } from '@nebula/core'
import { parseCondition, utf8 } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import type { StreamOptions } from '../src/index.ts'
import type { AgreedStream, StreamProblem } from '../src/plan-stream.ts'
import { agreeStream } from '../src/plan-stream.ts'
import { field, typed } from './harness.ts'

const people: StreamInfo = {
  name: 'people',
  schema: { fields: [field('id int64'), field('name utf8'), field('email utf8'), field('score float64')] },
  key: ['id'],
  wire: ['binary'],
}
const file: StreamInfo = { ...people, key: [], wire: [], untyped: true }

type Column = Partial<Acceptance['columns'][number]>

interface Asked {
  readonly info?: StreamInfo
  readonly options?: StreamOptions
  readonly existing?: TargetInfo
  readonly wants?: (field: Field) => Column
  readonly more?: Partial<Acceptance>
}

/** What a destination that takes every type as it is was offered, and what came of it. */
function agree({ info = people, options = {}, existing, wants, more }: Asked = {}): {
  agreed: AgreedStream
  problems: StreamProblem[]
  offered: { fields: readonly Field[]; wire: readonly string[] }
} {
  let offered: { fields: readonly Field[]; wire: readonly string[] } = { fields: [], wire: [] }
  const result = agreeStream({ info, options }, options.target ?? info.name, existing, ({ schema, wire }) => {
    offered = { fields: schema.fields, wire }
    const columns = schema.fields.map((f) => ({
      as: f.type,
      type: f.type.kind,
      fidelity: 'exact' as const,
      ...wants?.(f),
    }))
    return { columns, ddl: [], guarantee: 'exactly_once', problems: [], ...more }
  })
  return { ...result, offered }
}

const texts = ({ problems }: { problems: StreamProblem[] }): string[] =>
  problems.map(({ code, text }) => `${code}: ${text}`)
const read = ({ agreed }: { agreed: AgreedStream }): string[] =>
  agreed.readSchema.fields.map((f) => `${f.name} ${f.type.kind}`)
const written = ({ agreed }: { agreed: AgreedStream }): string[] =>
  agreed.writeSchema.fields.map((f) => `${f.name} ${f.type.kind}`)

describe('agreeStream', () => {
  test('without options everything arrives as it is', () => {
    const { agreed, problems, offered } = agree({ more: { wire: 'binary' } })
    expect(problems).toEqual([])
    expect(agreed.request).toEqual({
      stream: 'people',
      mode: 'overwrite',
      columns: ['id', 'name', 'email', 'score'],
      key: ['id'],
    })
    expect(agreed.readSchema.fields).toEqual(people.schema.fields)
    expect(agreed.writeSchema.fields).toEqual(people.schema.fields)
    expect(agreed.transform.steps).toEqual([[], [], [], []])
    expect(agreed.wire).toBe('binary')
    expect(offered.wire).toEqual(['binary'])
  })

  test('the request says mode, key, limit and pattern', () => {
    const options = { mode: 'append' as const, key: ['email'], limit: 5, path: './*.csv' }
    expect(agree({ options }).agreed.request).toMatchObject(options)
  })

  test('columns are chosen in the order that is asked for', () => {
    expect(read(agree({ options: { columns: ['score', 'id'] } }))).toEqual(['score float64', 'id int64'])
    expect(read(agree({ options: { exclude: ['email', 'name'] } }))).toEqual(['id int64', 'score float64'])
    expect(read(agree({ options: { columns: ['score', 'id'], exclude: ['id'] } }))).toEqual(['score float64'])
  })

  test('a generated column is read only when it is asked for', () => {
    const info = { ...people, schema: { fields: [field('id int64'), field('twice int64', { generated: true })] } }
    expect(read(agree({ info }))).toEqual(['id int64'])
    expect(read(agree({ info, options: { columns: ['id', 'twice'] } }))).toEqual(['id int64', 'twice int64'])
  })

  test('a renamed column is read under its name and written under the new one', () => {
    const result = agree({ options: { rename: { name: 'full_name' } } })
    expect(read(result)[1]).toBe('name utf8')
    expect(written(result)[1]).toBe('full_name utf8')
    expect(result.agreed.transform.steps[1]).toEqual([])
  })

  test('columns that the stream does not have are told all at once', () => {
    const options: StreamOptions = {
      columns: ['id', 'nmae'],
      exclude: ['mail'],
      key: ['ids'],
      allowLoss: ['x'],
      rename: { a1: 'b' },
      cast: { socre: utf8 },
      mask: { emial: 'sha256' },
    }
    expect(texts(agree({ options }))).toEqual([
      'column_not_found: columns names a column "nmae" that the stream does not have; did you mean name?',
      'column_not_found: exclude names a column "mail" that the stream does not have; did you mean email?',
      'column_not_found: key names a column "ids" that the stream does not have; did you mean id?',
      'column_not_found: allow_loss names a column "x" that the stream does not have; did you mean id?',
      'column_not_found: rename names a column "a1" that the stream does not have; did you mean id?',
      'column_not_found: cast names a column "socre" that the stream does not have; did you mean score?',
      'column_not_found: mask names a column "emial" that the stream does not have; did you mean email?',
    ])
    expect(texts(agree({ options: { columns: ['something else'] } }))).toEqual([
      'column_not_found: columns names a column "something else" that the stream does not have; it has id, name, email, score',
    ])
  })

  test('two columns of one name are refused, whether renamed or named twice', () => {
    expect(texts(agree({ options: { rename: { name: 'email' } } }))).toEqual([
      'config_invalid: two columns would be called "email" at the destination',
    ])
    expect(texts(agree({ options: { columns: ['id', 'id'] } }))).toEqual([
      'config_invalid: two columns would be called "id" at the destination',
    ])
    expect(texts(agree({ options: { rename: { name: 'email', email: 'name' } } }))).toEqual([])
  })

  test('what cannot both be had is refused', () => {
    expect(texts(agree({ options: { mask: { email: 'sha256' }, cast: { email: typed('json') } } }))).toEqual([
      'config_invalid: column "email" is in mask and in cast; a masked column is text',
    ])
    expect(texts(agree({ options: { types: { id: utf8 } } }))).toEqual([
      'config_invalid: types is for files; the source knows its types, so use cast',
    ])
  })

  test('a loss is refused, and allowed by the name that the column has at the source', () => {
    const wants = ({ name }: Field): Column =>
      ['score', 'full_name'].includes(name) ? { fidelity: 'lossy', why: 'its digits are cut' } : {}
    const rename = { name: 'full_name' }
    expect(texts(agree({ wants, options: { rename } }))).toEqual([
      'loss_refused: column name: its digits are cut',
      'loss_refused: column score: its digits are cut',
    ])
    expect(texts(agree({ wants, options: { rename, allowLoss: ['name'] } }))).toEqual([
      'loss_refused: column score: its digits are cut',
    ])
    expect(texts(agree({ wants, options: { rename, allowLoss: ['name', 'score'] } }))).toEqual([])
    expect(texts(agree({ wants: () => ({ fidelity: 'lossy' }), options: { columns: ['id'] } }))).toEqual([
      'loss_refused: column id: it would lose something',
    ])
    expect(texts(agree({ wants: () => ({ fidelity: 'widened' }) }))).toEqual([])
  })

  test("the destination's own problems are passed on", () => {
    const problems = [{ code: 'permission_denied' as const, message: 'it may not create tables' }]
    expect(texts(agree({ more: { problems } }))).toEqual(['permission_denied: it may not create tables'])
  })

  test('rows of others are overwritten only when it is written out', () => {
    const existing = { schema: { fields: [] }, foreignRows: true }
    expect(texts(agree({ existing }))).toEqual(['target_not_ours: people holds rows that Nebula did not write.'])
    expect(texts(agree({ existing, options: { target: 'persons' } }))[0]).toContain('persons holds rows')
    expect(texts(agree({ existing, options: { mode: 'overwrite' } }))).toEqual([])
    expect(texts(agree({ existing, options: { mode: 'append' } }))).toEqual([])
    expect(texts(agree({ existing: { ...existing, foreignRows: false } }))).toEqual([])
  })
})

describe('the type of a column', () => {
  const offers = (...types: string[]): Partial<Field> => ({ offers: types.map(typed) })
  const one = (f: Field): StreamInfo => ({ name: 'one', schema: { fields: [f] }, key: [], wire: ['binary'] })
  const native: LogicalType = { kind: 'native', vendor: 'postgres', type: 'tsvector' }
  const wants = (as: LogicalType) => () => ({ as })

  test('is the one of those offered that the destination wants', () => {
    const result = agree({ info: one(field('a decimal(10,2)', offers('decimal(10,2)', 'text'))), wants: wants(utf8) })
    expect(read(result)).toEqual(['a utf8'])
    expect(written(result)).toEqual(['a utf8'])
    expect(result.agreed.transform.steps).toEqual([[]])
  })

  test('is cast on the way where none fits', () => {
    const result = agree({ info: one(field('a int32')), wants: wants(typed('int64')), more: { wire: 'binary' } })
    expect(read(result)).toEqual(['a int32'])
    expect(written(result)).toEqual(['a int64'])
    expect(result.agreed.transform.steps).toEqual([[{ kind: 'cast', type: typed('int64') }]])
    expect(result.agreed.wire).toBeUndefined()
  })

  test('wire rows pass where the destination replaces every column that is changed, and only then', () => {
    const options = { cast: { score: typed('int32') }, mask: { email: 'sha256' } } as const
    const replacing = (replaced: number[]) => agree({ options, more: { wire: 'binary', replaced } }).agreed
    expect(replacing([2, 3])).toMatchObject({ wire: 'binary', accepted: { wire: 'binary', replaced: [2, 3] } })
    expect(replacing([0, 2, 3]).wire).toBe('binary')
    const columns = replacing([2])
    expect([columns.wire, columns.accepted.wire, columns.accepted.replaced]).toEqual([undefined, undefined, undefined])
  })

  test('a cast is offered to the destination in its new type, and no wire rows without its consent', () => {
    const { agreed, offered } = agree({ options: { cast: { score: typed('int32') } }, more: { wire: 'binary' } })
    expect(offered.fields[3]?.type.kind).toBe('int32')
    expect(offered.wire).toEqual(['binary'])
    expect(agreed.transform.steps).toEqual([[], [], [], [{ kind: 'cast', type: typed('int32') }]])
    expect(agreed.wire).toBeUndefined()
  })

  test('a cast stays what it is where the destination wants yet another type', () => {
    const { agreed } = agree({ options: { columns: ['score'], cast: { score: typed('int32') } }, wants: wants(utf8) })
    expect(agreed.transform.steps).toEqual([
      [
        { kind: 'cast', type: typed('int32') },
        { kind: 'cast', type: utf8 },
      ],
    ])
    expect(agreed.writeSchema.fields[0]?.type).toEqual(utf8)
  })

  test('a cast to the type that it has is none', () => {
    const { agreed } = agree({ options: { cast: { score: typed('double') } }, more: { wire: 'binary' } })
    expect(agreed.transform.steps).toEqual([[], [], [], []])
    expect(agreed.wire).toBe('binary')
  })

  test('a masked column is text, and forgets what the vendor said of it', () => {
    const info = one(
      field('a int64', { vendor: 'postgres', declared: 'bigint', comment: 'the number', nullable: false }),
    )
    const { agreed, offered } = agree({ info, options: { mask: { a: 'sha256' } } })
    expect(offered.fields).toEqual([{ name: 'a', type: utf8, nullable: false, comment: 'the number' }])
    expect(agreed.transform.steps).toEqual([[{ kind: 'sha256' }]])
    expect(agreed.readSchema.fields[0]?.type).toEqual(typed('int64'))
  })

  test('a masked column is cast where the destination does not want text', () => {
    const { agreed } = agree({
      info: one(field('a int64')),
      options: { mask: { a: 'sha256' } },
      wants: wants(typed('json')),
    })
    expect(agreed.transform.steps).toEqual([[{ kind: 'sha256' }, { kind: 'cast', type: typed('json') }]])
    expect(agreed.writeSchema.fields[0]?.type).toEqual(typed('json'))
  })

  test('what no column can hold passes as it is, and is looked at as text', () => {
    const info = one({ name: 'a', type: native, nullable: true, offers: [native, utf8] })
    expect(agree({ info }).agreed.readSchema.fields[0]?.type).toEqual(native)
    const masked = agree({ info, options: { mask: { a: 'sha256' } } })
    expect(masked.agreed.readSchema.fields[0]?.type).toEqual(utf8)
    const cast = agree({ info, wants: wants(typed('json')) })
    expect(cast.agreed.readSchema.fields[0]?.type).toEqual(utf8)
    expect(cast.agreed.transform.steps).toEqual([[{ kind: 'cast', type: typed('json') }]])
  })

  test('what has no text cannot be masked, cast or written as something else', () => {
    const info = one({ name: 'a', type: native, nullable: true })
    expect(texts(agree({ info }))).toEqual([])
    expect(texts(agree({ info, wants: wants(utf8) }))).toEqual([
      'unsupported: column a: postgres:tsvector cannot be written as utf8',
    ])
    expect(texts(agree({ info, options: { mask: { a: 'sha256' } } }))).toEqual([
      'unsupported: column a: postgres:tsvector cannot be masked',
    ])
    expect(texts(agree({ info, options: { cast: { a: utf8 } } }))).toEqual([
      'unsupported: column a: postgres:tsvector cannot be cast',
    ])
    const list: LogicalType = { kind: 'list', element: utf8 }
    expect(texts(agree({ info: one(field('a utf8')), wants: wants(list) }))).toEqual([
      'unsupported: column a: utf8 cannot be written as list<utf8>',
    ])
  })

  test('a destination that says nothing of a column takes it as it is', () => {
    expect(written(agree({ more: { columns: [] } }))).toEqual(['id int64', 'name utf8', 'email utf8', 'score float64'])
  })
})

describe('the type of a column of a file', () => {
  const target = (...fields: Field[]): TargetInfo => ({ schema: { fields }, foreignRows: false })

  test('is inferred when nothing else is known', () => {
    const result = agree({ info: file })
    expect(read(result)).toEqual(['id int64', 'name utf8', 'email utf8', 'score float64'])
    expect(result.offered.fields[0]?.offers).toEqual([typed('int64'), utf8])
  })

  test('is that of the target, under the name that it has there', () => {
    const existing = target(
      field('full_name json', { declared: 'jsonb' }),
      field('score decimal(10,2)', { declared: 'numeric(10,2)' }),
    )
    const result = agree({ info: file, existing, options: { mode: 'append', rename: { name: 'full_name' } } })
    expect(read(result)).toEqual(['id int64', 'name json', 'email utf8', 'score decimal'])
  })

  test('is text where the target has one that text cannot be parsed into', () => {
    const array: LogicalType = { kind: 'list', element: utf8 }
    const existing = target({ name: 'id', type: array, nullable: true, declared: 'text[]' })
    expect(read(agree({ info: file, existing, options: { mode: 'append' } }))[0]).toBe('id utf8')
  })

  test('is not that of a file at the target, which was inferred itself', () => {
    expect(read(agree({ info: file, existing: target(field('id utf8')) }))[0]).toBe('id int64')
  })

  test('is as declared, before all else', () => {
    const existing = target(field('id uuid', { declared: 'uuid' }))
    expect(read(agree({ info: file, existing, options: { types: { id: typed('int16') } } }))[0]).toBe('id int16')
  })

  test('that is declared and not there is told', () => {
    expect(texts(agree({ info: file, options: { types: { idd: utf8 } } }))).toEqual([
      'column_not_found: types names a column "idd" that the stream does not have; did you mean id?',
    ])
  })
})

describe('the keys of a stream whose deleted rows are looked for', () => {
  const incremental = { mode: 'incremental', cursor: 'id', deletes: 'hard' } as const
  const mark = { column: 'id', target: 'people', value: '7', basis: '' }
  const accept = ({ schema: { fields }, wire }: { schema: { fields: readonly Field[] }; wire: readonly string[] }) => ({
    columns: fields.map(({ type }) => ({ as: type, type: type.kind, fidelity: 'exact' as const })),
    ddl: [],
    guarantee: 'exactly_once' as const,
    problems: [],
    ...(wire[0] === undefined ? {} : { wire: wire[0] }),
  })
  const keysOf = (options: StreamOptions, info = people): AgreedStream | undefined =>
    agreeStream({ info, options, mark }, 'people', undefined, accept).agreed.keys

  test('are of all its rows, whatever its cursor, by one reading that misses none', () => {
    const keys = keysOf({ ...incremental, exclude: ['email'], add: { at: '@run_id' } })
    expect(keys?.request).toEqual({ stream: 'people', mode: 'merge', columns: ['id'], key: ['id'], complete: true })
    expect(keys).toMatchObject({ targetKey: ['id'], writeSchema: { fields: [{ name: 'id', nullable: false }] } })
    expect(keys?.transform).toEqual({ origins: [0], steps: [[]] })
  })

  test('keep to its conditions, names and masks', () => {
    const where = parseCondition("name = 'x'")
    const keys = keysOf({ ...incremental, where, rename: { id: 'number' }, mask: { id: 'sha256', email: 'redact' } })
    expect(keys?.readSchema.fields.map(({ name }) => name)).toEqual(['id', 'name'])
    expect(keys).toMatchObject({ targetKey: ['number'], transform: { where: { column: 'name' }, steps: [[{}]] } })
  })

  test('come in the form in which the rows came', () => {
    expect(keysOf(incremental)?.wire).toBe('binary')
    expect(keysOf({ ...incremental, mask: { name: 'sha256' } })?.wire).toBeUndefined()
  })

  test('are not those of a stream of which some may be missed', () => {
    const { problems } = agreeStream(
      { info: { ...people, mayMiss: true }, options: incremental },
      'p',
      undefined,
      accept,
    )
    expect(texts({ problems })).toEqual([expect.stringContaining('may be missed')])
    expect(keysOf({ mode: 'merge', deletes: 'ignore' })).toBeUndefined()
  })
})
