import { spawnSync } from 'node:child_process'
import { openSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { appendFile, mkdir, mkdtemp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Route, Scene, SceneRun, SceneSettings, SmallDisk } from '@nebula/testkit'
import { FaultProxy, postgres, query, smallDisk } from '@nebula/testkit'
import { afterEach, describe, expect, inject, test } from 'vitest'
import { BIN, createScene } from './nebula.ts'

const closing: (AsyncDisposable | Disposable)[] = []
afterEach(async () => {
  for (const item of closing.splice(0).toReversed()) {
    if (Symbol.asyncDispose in item) await item[Symbol.asyncDispose]()
    else item[Symbol.dispose]()
  }
})

async function create(route: Route): Promise<Scene> {
  const server = inject('postgres')['18']
  const scene = await createScene(route, { source: server, target: server })
  closing.push(scene)
  return scene
}

const NO_DISK = 'this user may not mount a small disk'

/** A small disk over a folder. */
function mount(folder: string, bytes: number, skip: (note: string) => never): SmallDisk {
  const disk = smallDisk(folder, bytes) ?? skip(NO_DISK)
  closing.push(disk)
  return disk
}

/** Takes all space that is left, until the file is removed. */
function fill(folder: string): string {
  const ballast = join(folder, 'ballast')
  const writing = (): never => {
    for (;;) writeFileSync(ballast, Buffer.alloc(4096), { flag: 'a' })
  }
  expect(writing).toThrow('ENOSPC')
  return ballast
}

function expectFull({ code, failure }: SceneRun, place: string): void {
  expect({ code, failure }).toEqual({
    code: 3,
    failure: expect.objectContaining({
      code: 'disk_full',
      message: expect.stringContaining(place),
      fix: expect.stringContaining('run the same command again'),
    }),
  })
}

describe.each([
  { from: 'postgres', to: 'csv', mode: 'overwrite' },
  { from: 'csv', to: 'csv', mode: 'append' },
] as const)('a full disk under the target folder, $from -> $to, $mode', (route) => {
  test('in the middle: no file is seen, and once there is space the same command goes on', async ({ skip }) => {
    const scene = await create(route)
    const out = join(scene.folder, 'out')
    const disk = mount(out, 900_000, skip)
    expectFull(await scene.run(), join(out, '.nebula'))
    expect(readdirSync(out)).toEqual(['.nebula'])
    // It is still full.
    expectFull(await scene.run(), join(out, '.nebula'))
    disk.resize(4_000_000)
    const { report } = await scene.rerun()
    expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
  })

  test('before the first row', async ({ skip }) => {
    const scene = await create(route)
    const out = join(scene.folder, 'out')
    mount(out, 4_000_000, skip)
    const ballast = fill(out)
    expectFull(await scene.run(), join(out, '.nebula'))
    rmSync(ballast)
    expect((await scene.rerun()).code).toBe(0)
  })
})

/** `/dev/full` takes no byte: a symbolic link to it makes one file's disk full, for any user. */
describe('/dev/full', () => {
  const route = { from: 'csv', to: 'csv', mode: 'overwrite' } as const

  test.each(['out/.nebula/orders.json.tmp', '.nebula/orders.report.json.tmp'])('at %s', async (path) => {
    const scene = await create(route)
    const file = join(scene.folder, path)
    await mkdir(join(file, '..'), { recursive: true })
    symlinkSync('/dev/full', file)
    expectFull(await scene.run(), file.replace(/\.tmp$/, ''))
    rmSync(file)
    expect((await scene.rerun()).code).toBe(0)
  })

  test.each([[['--json']], [[]]])('as standard output of the run, %j', async (args) => {
    const scene = await create(route)
    await scene.writePipeline({})
    const full = openSync('/dev/full', 'w')
    const { status, stderr } = spawnSync(
      process.execPath,
      ['--conditions=source', BIN, 'run', 'orders.json', ...args],
      {
        cwd: scene.folder,
        env: { ...process.env, NODE_OPTIONS: '' },
        stdio: ['ignore', full, 'pipe'],
        encoding: 'utf8',
      },
    )
    expect({ status, stderr }).toEqual({
      status: 3,
      stderr: expect.stringMatching(/error disk_full: Printing to standard output: ENOSPC.*\n {2}what to do: /),
    })
    expect(stderr).not.toMatch(/^ {4}at /m)
    // Nobody saw the report: the run had not ended, and is ended now.
    const { report } = await scene.rerun()
    expect(report?.resumed).toBe(true)
  })
})

describe('a full disk under the state folder', () => {
  test('before the run', async ({ skip }) => {
    const scene = await create({ from: 'csv', to: 'csv', mode: 'overwrite' })
    const state = join(scene.folder, 'state')
    await mkdir(state)
    mount(state, 100_000, skip)
    const ballast = fill(state)
    const settings = { state }
    expectFull(await scene.run(settings), state)
    rmSync(ballast)
    expect((await scene.rerun(settings)).code).toBe(0)
  })

  test('in the middle: the report cannot be kept, and the same command shows it', async ({ skip }) => {
    const scene = await create({ from: 'postgres', to: 'postgres', mode: 'append' })
    const state = join(scene.folder, 'state')
    await mkdir(state)
    mount(state, 100_000, skip)
    const proxy = await FaultProxy.before(scene.source)
    closing.push(proxy)
    const settings: SceneSettings = { state, sourceUrl: proxy.url(scene.source) }
    const filled = proxy.toClient.after(500_000, () => fill(state))
    expectFull(await scene.run(settings), state)
    rmSync(await filled)
    const { report } = await scene.rerun(settings)
    expect(report?.resumed).toBe(true)
  })

  test('where dead letters are to be kept: no row is counted that is not kept', async ({ skip }) => {
    const scene = await create({ from: 'csv', to: 'postgres', mode: 'append' })
    const state = join(scene.folder, 'state')
    await mkdir(state)
    mount(state, 100_000, skip)
    await appendFile(join(scene.folder, 'in', 'orders.csv'), 'bad number,note,1.00,2000-01-01\n')
    const proxy = await FaultProxy.before(scene.target)
    closing.push(proxy)
    const settings: SceneSettings = {
      state,
      targetUrl: proxy.url(scene.target),
      source: { reliability: { max_errors: 1 } },
    }
    const filled = proxy.toServer.after(500_000, () => fill(state))
    expectFull(await scene.run(settings), state)
    rmSync(await filled)
    const { code, report } = await scene.run(settings)
    expect({ code, ...report?.streams[0] }).toMatchObject({ code: 5, read: 12_001, written: 12_000, rejected: 1 })
    expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
    const kept = await readdir(report?.deadLetters ?? '', { recursive: true })
    expect(kept.filter((name) => name.endsWith('.jsonl'))).toHaveLength(1)
    await scene.expectSame()
    await scene.expectNothingLeft()
  })
})

test('the disk of the PostgreSQL server is full: once there is space, the same command goes on', async ({ skip }) => {
  const server = await postgres({ flags: ['-c', 'log_connections=off'] })
  closing.push({ [Symbol.asyncDispose]: () => server.stop() })
  const parent = join(server.dataDir ?? '', '..')
  const { uid, gid } = statSync(parent)
  const folder = await mkdtemp(join(parent, 'small-'))
  const disk = smallDisk(folder, 900_000, { uid, gid }) ?? skip(NO_DISK)
  closing.push(disk)
  const route = { from: 'csv', to: 'postgres', mode: 'append' } as const
  const scene = await createScene(route, { source: inject('postgres')['18'], target: server.url })
  closing.push(scene)
  await query(server.url, `CREATE TABLESPACE small LOCATION '${folder}'`)
  await query(server.url, `ALTER SYSTEM SET default_tablespace = small`)
  await query(server.url, 'SELECT pg_reload_conf()')
  expectFull(await scene.run(), 'No space left on device')
  disk.resize(8_000_000)
  const { report } = await scene.rerun()
  expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
})
