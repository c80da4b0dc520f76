import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Field, StreamInfo } from '@nebula/core'
import { isNebulaError, parseCondition, Secret, utf8 } from '@nebula/core'
import { MemoryTarget } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import type { Pipeline, StreamOptions } from '../src/index.ts'
import { runPipeline } from '../src/index.ts'
import { findTransform, loadTransform } from '@nebula/transforms'
import type { AgreedStream, StreamProblem } from '../src/plan-stream.ts'
import { agreeStream } from '../src/plan-stream.ts'
import { readStream } from '../src/prepare-run.ts'
import type { Scene } from './harness.ts'
import { field, numbered, pipelineOf, typed, useFolder } from './harness.ts'

const folder = useFolder()
const where = (text: string): Pick<StreamOptions, 'where'> => ({ where: parseCondition(text) })

const people: StreamInfo = {
  name: 'people',
  schema: {
    fields: [
      field('id int64', { offers: [typed('int64'), utf8] }),
      field('name utf8'),
      {
        name: 'mood',
        type: { kind: 'native', vendor: 'x', type: 'mood' },
        nullable: true,
        offers: [{ kind: 'native', vendor: 'x', type: 'mood' }, utf8],
      },
    ],
  },
  key: ['id'],
  wire: ['binary'],
}

interface Asked {
  readonly info?: StreamInfo
  readonly wants?: (field: Field) => Field['type']
  readonly replaced?: readonly number[]
  readonly code?: Parameters<typeof agreeStream>[0]['code']
}

/** With a destination that takes every type as it is, and wire rows. */
function agree(
  options: StreamOptions,
  { info = people, wants, replaced, code }: Asked = {},
): AgreedStream & { problems: StreamProblem[]; offered: readonly Field[] } {
  let offered: readonly Field[] = []
  const { agreed, problems } = agreeStream(
    { info, options, code },
    'people',
    undefined,
    ({ schema: { fields }, wire: [wire] }) => {
      offered = fields
      const columns = fields.map((f) => ({ as: wants?.(f) ?? f.type, type: 'any', fidelity: 'exact' as const }))
      return {
        columns,
        ddl: [],
        guarantee: 'exactly_once',
        problems: [],
        ...(wire === undefined ? {} : { wire }),
        ...(replaced ? { replaced } : {}),
      }
    },
  )
  return { ...agreed, problems, offered }
}

const names = (fields: readonly Field[]): string[] => fields.map(({ name, type }) => `${name} ${type.kind}`)

test('what the system of the source checks rows by is told to the destination', () => {
  expect(agree({}, { info: { ...people, rules: '{}' } }).request.rules).toBe('{}')
  expect(agree({}).request).not.toHaveProperty('rules')
})

describe('where', () => {
  test('goes to the source that applies it, which then need not deliver its columns', () => {
    const info = { ...people, filters: ['where', 'native'] as const }
    const agreed = agree({ ...where("mood = 'ok'"), columns: ['id'], nativeFilter: 'x > 1' }, { info })
    expect(agreed.request).toMatchObject({
      columns: ['id'],
      where: { kind: 'compare', column: 'mood', type: utf8, operator: '=', value: 'ok' },
      nativeFilter: 'x > 1',
    })
    expect(agreed.transform).toEqual({ origins: [0], steps: [[]] })
    expect(agreed.wire).toBe('binary')
  })

  test('is else for the runtime, which reads its columns, drops those that were not asked for, and sees no wire rows', () => {
    const agreed = agree({ ...where("mood = 'ok' and id > 1"), columns: ['name'] })
    expect(names(agreed.readSchema.fields)).toEqual(['name utf8', 'id int64', 'mood utf8'])
    expect(names(agreed.writeSchema.fields)).toEqual(['name utf8'])
    expect(agreed.request).toMatchObject({ columns: ['name', 'id', 'mood'] })
    expect(agreed.request.where).toBeUndefined()
    expect(agreed.transform).toMatchObject({ origins: [0], where: { kind: 'and' } })
    expect(agreed.wire).toBeUndefined()
  })

  test('looks at wire rows whose columns all arrive, and has only its own decoded', () => {
    const agreed = agree(where('id > 1'), { replaced: [1] })
    expect(agreed.wire).toBe('binary')
    expect(readStream(agreed).decode).toEqual([1, 0])
    expect(agree(where('id > 1'), { wants: () => utf8 }).transform.steps[0]).toEqual([{ kind: 'cast', type: utf8 }])
  })

  test('offers a destination what somebody looks at in no other type', () => {
    expect(agree(where("mood = 'ok'")).offered[2]).toMatchObject({ type: utf8, offers: [utf8] })
    expect(agree({}).offered[2]?.type.kind).toBe('native')
  })
})

describe('a function', () => {
  const made = { name: 'made', type: typed('int32'), nullable: true }
  const found = (makes: Field[], reads?: string[]): NonNullable<Asked['code']> => ({
    reference: { path: '/people.ts', hash: 'h' },
    checked: { definition: { record: () => null }, makes, reads },
  })

  test('makes columns that can be chosen, renamed, cast and masked like others', () => {
    const options = { columns: ['made', 'id'], rename: { made: 'mine' }, cast: { made: typed('int64') } }
    const agreed = agree(options, { code: found([made], ['name']) })
    expect(agreed.problems).toEqual([])
    expect(names(agreed.readSchema.fields)).toEqual(['id int64', 'name utf8'])
    expect(names(agreed.writeSchema.fields)).toEqual(['mine int64', 'id int64'])
    expect(agreed.transform).toEqual({
      function: { path: '/people.ts', hash: 'h' },
      origins: [2, 0],
      steps: [[{ kind: 'cast', type: typed('int64') }], []],
    })
    expect(agreed.wire).toBeUndefined()
  })

  test('puts what it makes anew where the old stood, and reads all unless it says what', () => {
    const agreed = agree({}, { code: found([{ ...made, name: 'name' }]) })
    expect(names(agreed.readSchema.fields)).toEqual(['id int64', 'mood utf8', 'name utf8'])
    expect(names(agreed.writeSchema.fields)).toEqual(['id int64', 'name int32', 'mood utf8'])
    expect(agreed.transform.origins).toEqual([0, 2, 1])
  })

  test('is the one that was planned, though its file changes', async () => {
    const path = join(folder(), 'code.js')
    await writeFile(path, 'export default { record: () => null }')
    const { reference, checked } = await findTransform(path)
    await writeFile(path, 'export default { columns: { a: "text" }, record: () => null }')
    expect(await loadTransform(reference)).toBe(checked)
    expect((await findTransform(path)).checked.makes).toHaveLength(1)
    await expect(loadTransform({ path, hash: 'another' })).rejects.toMatchObject({ code: 'transform_invalid' })
  })
})

/** Whether a run that was interrupted under `first` goes on under `second`, or is refused. */
async function resumes(first: StreamOptions, second: StreamOptions): Promise<boolean> {
  const target = new MemoryTarget()
  const stop = new AbortController()
  const streams = [numbered('orders', 60, { cut: 20 })]
  const scene = (defaults: StreamOptions, more: Partial<Scene['source']>): Pipeline =>
    pipelineOf({ source: { streams, ...more }, destination: { target }, folder: folder(), pipeline: { defaults } })
  const beforeBatch = async (row: number): Promise<void> => {
    if (row === 30) stop.abort()
  }
  expect(await runPipeline(scene(first, { beforeBatch }), { signal: stop.signal })).toMatchObject({ exitCode: 130 })
  const report = await runPipeline(scene(second, {})).catch((error: unknown) => error)
  if (isNebulaError(report, 'config_changed')) return false
  expect(report).toMatchObject({ status: 'done', resumed: true })
  return true
}

describe('what changes the result makes another run', () => {
  const hmac = (key: string): StreamOptions => ({ mask: { name: { hmac: new Secret(key) } } })

  test.each<[string, StreamOptions, StreamOptions]>([
    ['where', where('id > 5'), where('id > 6')],
    ['add', { add: { n: 1 } }, { add: { n: 2 } }],
    ['the kind of a mask', { mask: { name: 'redact' } }, { mask: { name: 'partial' } }],
    ['the key of a mask', hmac('one'), hmac('two')],
  ])('%s', async (_, first, second) => {
    expect(await resumes(first, second)).toBe(false)
    expect(await resumes(second, second)).toBe(true)
  })

  test('and so does the content of a function, and not its place', async () => {
    const paths = ['a.js', 'b.js', 'c.js'].map((name) => join(folder(), name))
    const [a = '', b = '', c = ''] = paths
    for (const path of [a, b]) await writeFile(path, 'export default { record: () => ({}) }')
    await writeFile(c, 'export default { record: () => null }')
    expect(await resumes({ transform: a }, { transform: c })).toBe(false)
    expect(await resumes({ transform: a }, { transform: b })).toBe(true)
  })

  test('a key stands in no state', async () => {
    const target = new MemoryTarget()
    const source = { streams: [numbered('orders', 3)] }
    await runPipeline(
      pipelineOf({ source, destination: { target }, folder: folder(), pipeline: { defaults: hmac('the key') } }),
    )
    expect(JSON.stringify(target.run)).not.toContain('the key')
    expect(target.rows('orders')[0]?.[1]).toMatch(/^[0-9a-f]{64}$/)
  })

  test('a resumed run has the time, and the name, of the one that was begun', async () => {
    const target = new MemoryTarget()
    let now = Date.UTC(2026, 0, 1)
    const clock = { now: () => now, sleep: () => Promise.resolve() }
    const defaults: StreamOptions = { ...where('id <> 40'), add: { at: '@extracted_at', run: '@run_id' } }
    const stop = new AbortController()
    const streams = [numbered('orders', 60, { cut: 20 })]
    const scene = (source: Partial<Scene['source']>): Pipeline =>
      pipelineOf({ source: { streams, ...source }, destination: { target }, folder: folder(), pipeline: { defaults } })
    const beforeBatch = async (row: number): Promise<void> => {
      if (row === 30) stop.abort()
    }
    await runPipeline(scene({ beforeBatch }), { signal: stop.signal, clock })
    now += 86_400_000
    const report = await runPipeline(scene({}), { clock })
    expect(report).toMatchObject({ resumed: true, streams: [{ read: 60, written: 59, filtered: 1 }] })
    const rows = target.rows('orders')
    expect(rows).toHaveLength(59)
    expect(new Set(rows.map(([, , at, run]) => `${at} ${run}`))).toEqual(
      new Set([`2026-01-01 00:00:00+00 ${report.run}`]),
    )
  })
})
