import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from '@nebula/core'
import { BaseConfig, NebulaError } from '@nebula/core'
import type { MemoryDestination, MemorySource, Row } from '@nebula/testkit'
import { Faults, Ledger, MemoryTarget } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import type { Report } from '../src/index.ts'
import { runPipeline } from '../src/index.ts'
import type { Scene } from './harness.ts'
import { field, numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()

const lost = (): NebulaError => new NebulaError('connection_lost', { message: 'gone' })

/** What a run comes to, also when it ends before its report. */
async function attempt(scene: Scene): Promise<Report | undefined> {
  return runPipeline(pipelineOf(scene)).catch(() => undefined)
}

interface Route {
  readonly source: MemorySource
  readonly destination: Omit<MemoryDestination, 'target' | 'faults'>
  readonly parallel?: number
  readonly mode?: 'append'
}

/**
 * Kills a run at each point that its drivers reach, one after the other, and runs the same pipeline again after each
 * kill. `judge` sees what is in the target in the end, the report of the second run, and whether the first one had ended.
 */
async function killEverywhere(
  route: Route,
  judge: (target: MemoryTarget, report: Report, ended: boolean) => void,
): Promise<number> {
  const { source, destination, parallel = 1, mode } = route
  for (let index = 0; ; index++) {
    const target = new MemoryTarget()
    const scene = (faults: Faults): Scene => ({
      source: { ...source, faults },
      destination: { ...destination, target, faults },
      folder: join(folder(), String(index)),
      pipeline: { parallel, ...(mode ? { defaults: { mode } } : {}) },
    })
    const killed = Faults.killedAt(index)
    const ended = (await attempt(scene(killed)))?.status === 'done' || target.ended
    if (killed.points.length <= index) return index
    const ledger = new Ledger()
    const report = await runPipeline(pipelineOf({ ...scene(new Faults()), ledger }))
    expect(ledger.released).toBe(ledger.yielded)
    expect(ledger.bytesUsed).toBe(0)
    judge(target, report, ended)
  }
}

const streams = [numbered('orders', 35, { cut: 15 }), numbered('lines', 10)]
const positioned = [numbered('orders', 35, { cut: 20, positions: true }), numbered('lines', 10, { positions: true })]

function exactly(
  expected: readonly { name: string; rows: readonly Row[] }[],
): (target: MemoryTarget, report: Report) => void {
  return (target, report) => {
    expect(report).toMatchObject({ status: 'done', exitCode: 0 })
    for (const { name, rows } of expected) expect(target.rows(name)).toEqual(rows)
    expect(target.staging.size).toBe(0)
    for (const { read, written, rejected } of report.streams) expect(read).toBe(written + rejected)
  }
}

describe('killed at any point, the same command goes on: nothing lost, nothing doubled', { timeout: 60_000 }, () => {
  test('partitions, checkpoints at the destination', async () => {
    expect(await killEverywhere({ source: { streams }, destination: {} }, exactly(streams))).toBeGreaterThan(20)
  })

  test('partitions, 3 tasks at once', async () => {
    const route = { source: { streams }, destination: {}, parallel: 3 }
    expect(await killEverywhere(route, exactly(streams))).toBeGreaterThan(20)
  })

  test('commits behind positions, checkpoints at the destination', async () => {
    const route = { source: { streams: positioned }, destination: { commitOften: true } }
    expect(await killEverywhere(route, exactly(positioned))).toBeGreaterThan(25)
  })

  test('partitions, state in the state folder', async () => {
    const route = { source: { streams }, destination: { recalls: false } }
    expect(await killEverywhere(route, exactly(streams))).toBeGreaterThan(20)
  })

  test('commits behind positions, state in the state folder', async () => {
    const route = { source: { streams: positioned }, destination: { commitOften: true, recalls: false } }
    expect(await killEverywhere(route, exactly(positioned))).toBeGreaterThan(25)
  })

  test.each([true, false])('append: a run is interrupted until it was told to end (recall: %s)', async (recalls) => {
    const ends: boolean[] = []
    const route = { source: { streams }, destination: { recalls }, mode: 'append' } as const
    await killEverywhere(route, (target, report, ended) => {
      ends.push(ended)
      if (!ended) exactly(streams)(target, report)
    })
    // After the end only drivers are closed, whose failure is no failure of the run.
    expect(ends.indexOf(true)).toBeGreaterThan(20)
    expect(ends.slice(ends.indexOf(true))).not.toContain(false)
  })

  test('append only: nothing is lost, and only rows of a commit whose answer was lost repeat', async () => {
    const doubled: number[] = []
    const destination = { appendOnly: true, recalls: false, commitOften: true }
    await killEverywhere({ source: { streams: positioned }, destination }, (target, report, ended) => {
      expect(report.status).toBe('done')
      if (ended) return
      let repeated = 0
      for (const { name, rows } of positioned) {
        const ids = target.rows(name).map(([id]) => id)
        expect(new Set(ids)).toEqual(new Set(rows.map(([id]) => id)))
        repeated += ids.length - rows.length
      }
      doubled.push(repeated)
    })
    expect(new Set(doubled)).toEqual(new Set([0, 5, 10]))
  })

  test('killed twice in a row', async () => {
    const target = new MemoryTarget()
    const source = { streams: positioned }
    for (const index of [14, 9, 11]) {
      const faults = Faults.killedAt(index)
      await attempt({
        source: { ...source, faults },
        destination: { target, faults, commitOften: true },
        folder: folder(),
      })
    }
    const report = await runPipeline(
      pipelineOf({ source, destination: { target, commitOften: true }, folder: folder() }),
    )
    exactly(positioned)(target, report)
    expect(target.run?.epoch).toBeGreaterThan(1)
  })
})

describe('a resumed run', () => {
  /** A run whose commit number `commits + 1` fails, and what it leaves. */
  async function interrupted(scene: Scene, commits: number): Promise<Report> {
    const faults = new Faults((at, count) => (at === 'commit' && count >= commits ? lost() : undefined))
    return runPipeline(pipelineOf({ ...scene, destination: { ...scene.destination, faults } }))
  }

  function scenes(more: Partial<Scene> = {}): Scene {
    return {
      source: { streams: [numbered('orders', 40, { cut: 10 }), numbered('lines', 10)] },
      destination: { target: new MemoryTarget() },
      folder: folder(),
      ...more,
    }
  }

  test('reads what is missing, and counts what was there', async () => {
    const scene = scenes()
    const first = await interrupted(scene, 2)
    expect(first).toMatchObject({ status: 'failed', exitCode: 3, resumed: false })
    expect(first.streams[0]).toMatchObject({ status: 'failed', read: 20, written: 20, resumed: 0 })
    const second = await runPipeline(pipelineOf(scene))
    expect(second).toMatchObject({ status: 'done', resumed: true, rows: 30, run: first.run })
    expect(second.streams[0]).toMatchObject({ status: 'done', read: 40, written: 40, resumed: 20 })
  })

  test('does not run streams again that are in their target', async () => {
    const scene = scenes({ source: { streams: [numbered('lines', 10), numbered('orders', 40, { cut: 10 })] } })
    await interrupted(scene, 2)
    expect(scene.destination.target.finished).toEqual(new Set(['lines']))
    const second = await runPipeline(pipelineOf(scene))
    expect(second.streams.map(({ stream, status, read }) => [stream, status, read])).toEqual([
      ['lines', 'finished_before', 0],
      ['orders', 'done', 40],
    ])
    expect(scene.destination.target.rows('lines')).toHaveLength(10)
  })

  test('goes on behind the last position', async () => {
    const target = new MemoryTarget()
    const streams = [numbered('orders', 45, { positions: true })]
    const scene = { source: { streams }, destination: { target, commitOften: true }, folder: folder() }
    await interrupted(scene, 2)
    expect([...target.checkpoints.values()]).toMatchObject([
      { sequence: 2, done: false, position: { row: 20 }, counts: { read: 20 } },
    ])
    const ledger = new Ledger()
    const second = await runPipeline(pipelineOf({ ...scene, ledger }))
    expect(ledger.yielded).toBe(3)
    expect(second.streams[0]).toMatchObject({ read: 45, written: 45, resumed: 20 })
    expect(target.rows('orders')).toEqual(streams[0]?.rows)
  })

  test('without the commits behind positions when the destination asks for larger ones', async () => {
    const target = new MemoryTarget()
    const streams = [numbered('orders', 45, { positions: true })]
    const faults = new Faults()
    await runPipeline(pipelineOf({ source: { streams }, destination: { target, faults }, folder: folder() }))
    expect(faults.points.filter((point) => point === 'commit')).toHaveLength(1)
  })

  test.each([true, false])(
    'another configuration is refused, by the names of its settings (recall: %s)',
    async (recalls) => {
      const target = new MemoryTarget()
      const scene = scenes({ destination: { target, recalls } })
      await interrupted(scene, 2)
      const faults = new Faults()
      const changed = (pipeline: Scene['pipeline']): Promise<Report> =>
        runPipeline(pipelineOf({ ...scene, destination: { target, recalls, faults }, ...(pipeline && { pipeline }) }))
      const refused = changed({ defaults: { mode: 'append' }, streams: { '*': {}, orders: { columns: ['id'] } } })
      await expect(refused).rejects.toMatchObject({
        code: 'config_changed',
        fix: expect.stringContaining('nebula state reset'),
      })
      await expect(refused).rejects.toThrow(
        'shop has an interrupted run that was begun with other settings ' +
          '(stream orders: mode, columns; stream lines: mode).',
      )
      await expect(changed({ streams: { orders: {} } })).rejects.toThrow('stream lines is not asked for any more')
      await expect(changed({ only: ['orders'] })).rejects.toThrow('stream lines is not asked for any more')
      await expect(changed({ streams: { '*': {}, lines: { target: 'rows' } } })).rejects.toThrow(
        '(stream lines: target)',
      )
      expect(faults.points).not.toContain('discard')
      expect(faults.points).not.toContain('prepare')
      // What was begun is as it was, and goes on under its own configuration.
      expect(await runPipeline(pipelineOf(scene))).toMatchObject({ status: 'done', resumed: true })
      expect(target.rows('orders')).toHaveLength(40)
    },
  )

  test('streams that the source has got or lost since then are no change of the configuration', async () => {
    const source: MemorySource = { streams: [numbered('orders', 40, { cut: 10 }), numbered('lines', 15, { cut: 5 })] }
    const scene = scenes({ source })
    await interrupted(scene, 2)
    source.streams = [numbered('orders', 40, { cut: 10 }), numbered('new', 5)]
    expect(await runPipeline(pipelineOf(scene))).toMatchObject({ status: 'done', resumed: true, restarted: [] })
    const { target } = scene.destination
    expect([...target.tables.keys()].sort()).toEqual(['new', 'orders'])
    expect(target.rows('orders')).toHaveLength(40)
  })

  test.each([
    ['time limits', { timeouts: { request: '5s' } }],
    ['batch sizes', { performance: { batchSize: 7 } }],
    ['a name', { name: 'another' }],
  ])('other %s do not make it another run', async (_, config) => {
    const scene = scenes()
    await interrupted(scene, 2)
    expect(await runPipeline(pipelineOf({ ...scene, config }))).toMatchObject({ resumed: true, status: 'done' })
    expect(scene.destination.target.rows('orders')).toHaveLength(40)
  })

  test('more dead letters may be allowed meanwhile', async () => {
    const scene = scenes()
    await interrupted(scene, 2)
    const more = { pipeline: { defaults: { maxErrors: 3 } } }
    expect(await runPipeline(pipelineOf({ ...scene, ...more }))).toMatchObject({ resumed: true })
  })

  test('a new password is no other system, another host is', async () => {
    const scene = scenes()
    const { BaseConfig: base, secret } = await import('@nebula/core')
    const schema = base.extend({ url: secret() })
    const at = (url: string): Parameters<typeof runPipeline>[0] => {
      const pipeline = pipelineOf(scene)
      return { ...pipeline, source: { ...pipeline.source, config: schema.parse({ url }) as BaseConfig } }
    }
    const faults = new Faults((point, count) => (point === 'commit' && count === 1 ? lost() : undefined))
    const first = pipelineOf({ ...scene, destination: { ...scene.destination, faults } })
    await runPipeline({ ...first, source: at('db://me:old@host/shop').source })
    expect((await runPipeline(at('db://me:new@host/shop'))).resumed).toBe(true)
    await runPipeline({
      ...pipelineOf({
        ...scene,
        destination: {
          ...scene.destination,
          faults: new Faults((point, count) => (point === 'commit' && count === 1 ? lost() : undefined)),
        },
      }),
      source: at('db://me@host/shop').source,
    })
    await expect(runPipeline(at('db://me:secret@elsewhere/shop'))).rejects.toMatchObject({
      code: 'config_changed',
      message: expect.stringMatching(/ \(source: url\)\.$/),
    })
  })

  test.each([true, false])('columns that changed meanwhile begin their stream again (recall: %s)', async (recalls) => {
    const source: MemorySource = { streams: [numbered('lines', 15, { cut: 5 }), numbered('orders', 40, { cut: 10 })] }
    const target = new MemoryTarget()
    const scene = scenes({ source, destination: { target, recalls } })
    await interrupted(scene, 2)
    source.streams = [
      { ...numbered('lines', 15, { cut: 5 }), fields: [field('id int64'), field('label utf8')] },
      numbered('orders', 40, { cut: 10 }),
    ]
    const second = await runPipeline(pipelineOf(scene))
    expect(second).toMatchObject({ status: 'done', resumed: true })
    expect(second.restarted).toEqual([{ stream: 'lines', reason: 'its columns changed' }])
    expect(second.streams[0]).toMatchObject({ read: 15, written: 15, resumed: 0 })
    expect(target.rows('lines')).toHaveLength(15)
    expect(target.tables.get('lines')?.schema.fields.map(({ name }) => name)).toEqual(['id', 'label'])
    expect(target.run?.streams.map(({ generation }) => generation)).toEqual([1, 0])
    expect(target.staging.size).toBe(0)
  })

  test('columns of a stream that is in its target begin nothing again', async () => {
    const source: MemorySource = { streams: [numbered('lines', 10), numbered('orders', 40, { cut: 10 })] }
    const scene = scenes({ source })
    await interrupted(scene, 2)
    source.streams = [
      { ...numbered('lines', 10), fields: [field('id int64'), field('label utf8')] },
      numbered('orders', 40, { cut: 10 }),
    ]
    const second = await runPipeline(pipelineOf(scene))
    expect(second).toMatchObject({ status: 'done', resumed: true, restarted: [] })
    expect(second.streams[0]?.status).toBe('finished_before')
  })

  test.each([true, false])(
    'a source that changed begins its stream again, in new staging (recall: %s)',
    async (recalls) => {
      const source: MemorySource = { streams: [numbered('orders', 40, { cut: 10 })], version: 1 }
      const target = new MemoryTarget()
      const scene = scenes({ source, destination: { target, recalls } })
      await interrupted(scene, 2)
      const other = numbered('orders', 30, { cut: 10 })
      source.streams = [{ ...other, rows: other.rows.map(([id]) => [id ?? null, 'replaced']) }]
      source.version = 2
      const second = await runPipeline(pipelineOf(scene))
      expect(second.restarted).toEqual([{ stream: 'orders', reason: 'it was replaced' }])
      expect(second.streams[0]).toMatchObject({ read: 30, resumed: 0 })
      expect(target.rows('orders')).toEqual(source.streams[0]?.rows)
      expect(target.run?.streams[0]?.generation).toBe(1)
      expect(target.staging.size).toBe(0)
    },
  )

  test('killed again after a stream began again, it still begins with nothing of the first', async () => {
    const source: MemorySource = { streams: [numbered('orders', 40, { cut: 10 })], version: 1 }
    const target = new MemoryTarget()
    const scene = scenes({ source, destination: { target, recalls: false } })
    await interrupted(scene, 3)
    const other = numbered('orders', 40, { cut: 10 })
    source.streams = [{ ...other, rows: other.rows.map(([id]) => [id ?? null, 'replaced']) }]
    source.version = 2
    await interrupted(scene, 1)
    const third = await runPipeline(pipelineOf(scene))
    expect(third).toMatchObject({ restarted: [], rows: 30 })
    expect(target.rows('orders')).toEqual(source.streams[0]?.rows)
  })

  test('a process that was thought dead is fenced, and touches nothing of its follower', async () => {
    const scene = scenes({ source: { streams: [numbered('orders', 40, { cut: 10 })] } })
    const { target } = scene.destination
    let follower: Report | undefined
    const beforeWrite = async (): Promise<void> => {
      if (follower) return
      // Another machine: the lock of this one does not bind it. It stops after two partitions.
      follower = { run: '' } as Report
      follower = await interrupted({ ...scene, folder: join(folder(), 'elsewhere') }, 2)
    }
    const zombie = await runPipeline(pipelineOf({ ...scene, destination: { ...scene.destination, beforeWrite } }))
    expect(zombie.streams[0]?.error?.code).toBe('fenced')
    expect(follower?.streams[0]).toMatchObject({ written: 20 })
    expect(target.checkpoints.size).toBe(2)
    const last = await runPipeline(pipelineOf({ ...scene, folder: join(folder(), 'elsewhere') }))
    expect(last).toMatchObject({ status: 'done', rows: 20 })
    expect(target.rows('orders')).toHaveLength(40)
  })

  test.each([true, false])(
    'what failed for its data begins again when the data is mended (recall: %s)',
    async (recalls) => {
      const source: MemorySource = { streams: [numbered('orders', 40, { cut: 10, unreadable: [25] })] }
      const target = new MemoryTarget()
      const scene = scenes({ source, destination: { target, recalls } })
      const first = await runPipeline(pipelineOf(scene))
      expect(first).toMatchObject({ status: 'failed', exitCode: 4 })
      expect(target.staging.size).toBe(0)
      source.streams = [numbered('orders', 40, { cut: 10 })]
      const second = await runPipeline(pipelineOf(scene))
      expect(second).toMatchObject({ status: 'done', rows: 40 })
      expect(target.rows('orders')).toEqual(source.streams[0]?.rows)
    },
  )

  test('a destination that cannot discard keeps what it has, and goes on behind it', async () => {
    const source: MemorySource = { streams: [numbered('orders', 40, { cut: 10, unreadable: [25] })] }
    const target = new MemoryTarget()
    const scene = scenes({ source, destination: { target, recalls: false, appendOnly: true } })
    await runPipeline(pipelineOf(scene))
    source.streams = [numbered('orders', 40, { cut: 10 })]
    expect(await runPipeline(pipelineOf(scene))).toMatchObject({ status: 'done', rows: 20 })
    expect(target.rows('orders')).toEqual(source.streams[0]?.rows)
  })

  test('staging that could not be discarded does not come back', async () => {
    const source: MemorySource = { streams: [numbered('orders', 40, { cut: 10, unreadable: [25] })] }
    const target = new MemoryTarget()
    const faults = new Faults((at) => (at === 'discard' ? lost() : undefined))
    const scene = scenes({ source, destination: { target, recalls: false } })
    await runPipeline(pipelineOf({ ...scene, destination: { ...scene.destination, faults } }))
    expect(target.staging.size).toBe(1)
    source.streams = [numbered('orders', 40, { cut: 10 })]
    await runPipeline(pipelineOf(scene))
    expect(target.rows('orders')).toEqual(source.streams[0]?.rows)
    expect(target.staging.size).toBe(0)
  })

  test('the local state is one file beside lock and report', async () => {
    const scene = scenes({ destination: { target: new MemoryTarget(), recalls: false } })
    await interrupted(scene, 2)
    expect((await readdir(join(folder(), '.nebula'))).sort()).toEqual([
      'shop.progress.json',
      'shop.report.json',
      'shop.schemas.json',
      'shop.state.json',
    ])
  })

  test('the destination is told of a run whose plan has all partitions, committed ones too', async () => {
    const scene = scenes({ source: { streams: [numbered('orders', 40, { cut: 10 })] } })
    await interrupted(scene, 2)
    await runPipeline(pipelineOf(scene))
    const run = scene.destination.target.run as Run
    expect(run.plan.partitions.map(({ id }) => id)).toEqual(['orders:0', 'orders:1', 'orders:2', 'orders:3'])
  })
})
