import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Checkpoint, Run, StreamPlan } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { fileName, LocalState } from '../src/state.ts'
import { useFolder } from './harness.ts'

const folder = useFolder()
const path = (): string => join(folder(), 'shop.state.json')
const state = (): LocalState => new LocalState(folder(), 'shop')

function stream(name: string, generation = 0): StreamPlan {
  const request = { stream: name, mode: 'overwrite' as const, columns: [], key: [] }
  const accepted = { columns: [], ddl: [], guarantee: 'at_least_once' as const, problems: [] }
  return { request, target: name, schema: { fields: [] }, accepted, generation }
}

function run(more: Partial<Run> = {}): Run {
  const partitions = ['a:0', 'a:1', 'b:0'].map((id) => ({ id, stream: id.slice(0, 1), range: null }))
  const plan = { partitions, restart: [] }
  return { pipeline: 'shop', id: 'r1', epoch: 1, fingerprint: 'f', plan, streams: [stream('a'), stream('b')], ...more }
}

function checkpoint(partition: string, sequence = 1): Checkpoint {
  return { partition, sequence, done: true, counts: { read: 1, written: 1, filtered: 0, rejected: 0, bytes: 1 } }
}

describe('LocalState', () => {
  test('knows nothing at first', async () => {
    expect(await state().recall()).toBeUndefined()
  })

  test('recalls run, checkpoints and finished streams in another process', async () => {
    const first = state()
    await first.prepare(run())
    await first.commit(checkpoint('a:0'))
    await first.commit(checkpoint('b:0'))
    await first.commit(checkpoint('a:0', 2))
    await first.finish(['b'])
    expect(await state().recall()).toEqual({
      run: run(),
      checkpoints: [checkpoint('a:0', 2)],
      finished: ['b'],
      ended: false,
    })
  })

  test('a run that is taken over keeps its checkpoints, but not of streams that begin again or partitions that are gone', async () => {
    const first = state()
    await first.prepare(run())
    for (const id of ['a:0', 'a:1', 'b:0']) await first.commit(checkpoint(id))
    const second = state()
    await second.recall()
    const partitions = run().plan.partitions.filter(({ id }) => id !== 'a:1')
    await second.prepare(run({ epoch: 2, plan: { partitions, restart: [] }, streams: [stream('a'), stream('b', 1)] }))
    expect(await state().recall()).toMatchObject({ run: { epoch: 2 }, checkpoints: [checkpoint('a:0')] })
  })

  test('another run begins with nothing', async () => {
    const first = state()
    await first.prepare(run())
    await first.commit(checkpoint('a:0'))
    await first.finish(['b'])
    const second = state()
    await second.recall()
    await second.prepare(run({ id: 'r2' }))
    expect(await state().recall()).toMatchObject({ run: { id: 'r2' }, checkpoints: [], finished: [] })
  })

  test('forgets streams that are discarded, and raises their generation', async () => {
    const first = state()
    await first.prepare(run())
    for (const id of ['a:0', 'b:0']) await first.commit(checkpoint(id))
    await first.discard(['a'])
    const recalled = await state().recall()
    expect(recalled?.checkpoints).toEqual([checkpoint('b:0')])
    expect(recalled?.run.streams.map(({ generation }) => generation)).toEqual([1, 0])
  })

  test('commits at once are all durable, and none waits for more than two writes', async () => {
    const first = state()
    await first.prepare(run())
    const ids = Array.from({ length: 50 }, (_, i) => `a:${i}`)
    await Promise.all(ids.map((id) => first.commit(checkpoint(id))))
    const recalled = await state().recall()
    expect(recalled?.checkpoints.map(({ partition }) => partition).sort()).toEqual(ids.sort())
  })

  test('a commit that comes while another one is written waits for its turn', async () => {
    const first = state()
    await first.prepare(run())
    const commits: Promise<void>[] = []
    for (let i = 0; i < 20; i++) {
      commits.push(first.commit(checkpoint(`a:${i}`)))
      await new Promise(setImmediate)
    }
    await Promise.all(commits)
    expect((await state().recall())?.checkpoints).toHaveLength(20)
  })

  test('a commit is on the disk when it resolves', async () => {
    const first = state()
    await first.prepare(run())
    const both = [first.commit(checkpoint('a:0')), first.commit(checkpoint('a:1'))]
    await both[0]
    expect(await readFile(path(), 'utf8')).toContain('"partition":"a:0"')
    await both[1]
    expect(await readFile(path(), 'utf8')).toContain('"partition":"a:1"')
  })

  test('a write that failed does not stop later ones', async () => {
    const first = state()
    await first.prepare(run())
    await rm(folder(), { recursive: true })
    await writeFile(folder(), 'in the way')
    await expect(first.commit(checkpoint('a:0'))).rejects.toMatchObject({ code: 'file_failed' })
    await rm(folder())
    await first.commit(checkpoint('a:1'))
    expect((await state().recall())?.checkpoints).toHaveLength(2)
  })

  test('refuses what a newer version wrote, and reads its own', async () => {
    await state().prepare(run())
    const stored = JSON.parse(await readFile(path(), 'utf8')) as { version: number }
    expect(stored.version).toBe(1)
    await writeFile(path(), JSON.stringify({ ...stored, version: 2 }))
    await expect(state().recall()).rejects.toMatchObject({
      code: 'state_newer',
      message: `${path()} has version 2; this Nebula reads up to 1.`,
      place: path(),
    })
  })

  test('names a damaged file', async () => {
    await writeFile(path(), '{"version":1,')
    await expect(state().recall()).rejects.toMatchObject({ code: 'data_invalid', place: path() })
  })

  test('is used only after a run was prepared', async () => {
    await expect(state().commit(checkpoint('a:0'))).rejects.toMatchObject({ code: 'internal' })
  })

  test('pipelines of other names do not meet', async () => {
    await new LocalState(folder(), 'a/b').prepare(run())
    await new LocalState(folder(), 'a_b').prepare(run())
    await new LocalState(folder(), 'A_B').prepare(run())
    const files = await readdir(folder())
    expect(new Set(files.map((name) => name.toLowerCase())).size).toBe(3)
  })
})

describe('fileName', () => {
  test.each(['shop', 'shop-2.daily_run', '2024'])('%s stays as it is', (name) => {
    expect(fileName(name)).toBe(name)
  })

  test.each([
    ['audit.*/x', /^audit\.__x-[0-9a-f]{8}$/],
    ['..', /^-[0-9a-f]{8}$/],
    ['.hidden', /^hidden-[0-9a-f]{8}$/],
    ['', /^-[0-9a-f]{8}$/],
    ['ünïcode', /^_n_code-[0-9a-f]{8}$/],
    ['Shop', /^Shop-[0-9a-f]{8}$/],
    ['x'.repeat(300), /^x{80}-[0-9a-f]{8}$/],
  ])('%j is made one that every system takes', (name, expected) => {
    expect(fileName(name)).toMatch(expected)
  })
})
