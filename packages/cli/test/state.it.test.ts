import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PipelineState } from '@nebula/operations'
import type { Report } from '@nebula/runtime'
import { createDatabase, query } from '@nebula/testkit'
import { beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'
import { runNebula } from './nebula.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
let url = ''

beforeAll(async () => {
  url = await createDatabase({ url: inject('postgres')['18'] })
  process.env['STATE_TARGET'] = url
})

beforeEach(async () => {
  await query(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  await mkdir(at('in'))
  const rows = Array.from({ length: 20_000 }, (_, i) => `${i},${'x'.repeat(50)}`)
  await writeFile(at('in', 'orders.csv'), `id,note\n${rows.join('\n')}\n`)
  await writeFile(at('in', 'lines.csv'), 'id\n1\n2\n')
})

const TARGETS = {
  postgres: { connector: 'postgres', url: '${STATE_TARGET}' },
  csv: { connector: 'csv', path: './out' },
}

async function pipeline(target: keyof typeof TARGETS, more: object = {}): Promise<string> {
  const source = { connector: 'csv', path: './in', advanced: { partition_bytes: 100_000 } }
  await writeFile(at('shop.json'), JSON.stringify({ source, destination: TARGETS[target], parallel: 1, ...more }))
  return at('shop.json')
}

async function state(file: string): Promise<PipelineState> {
  const { code, stdout } = await nebula('state', 'show', file, '--json')
  expect(code).toBe(0)
  return JSON.parse(stdout) as PipelineState
}

/** Starts a run in a process of its own, which stops itself behind its first commit when `stop` says so. */
function start(file: string): ReturnType<typeof spawn> {
  return spawn(process.execPath, ['--conditions=source', BIN, 'run', file, '--json'], {
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** A run that waits for a lock on its target's checkpoints, and so is under way as long as `work` takes. */
async function whileRunning(file: string, work: (child: ReturnType<typeof spawn>) => Promise<void>): Promise<void> {
  const { default: pg } = await import('pg')
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  const child = start(file)
  try {
    await holder.query('BEGIN; LOCK TABLE nebula_checkpoints IN ACCESS EXCLUSIVE MODE')
    await waitFor(async () => (await readdir(at('.nebula'))).includes('shop.lock'))
    await work(child)
  } finally {
    child.kill('SIGKILL')
    await holder.end()
  }
}

/** Until something that another process does has happened. */
async function waitFor(happened: () => Promise<boolean>): Promise<void> {
  while (!(await happened().catch(() => false))) await new Promise((resolve) => setImmediate(resolve))
}

/** What is left of runs beside the target. */
async function staged(target: keyof typeof TARGETS): Promise<unknown[]> {
  if (target === 'csv') return (await readdir(at('out', '.nebula'))).filter((name) => !name.endsWith('.json'))
  return query(url, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'nebula_stage%'`)
}

describe.each(['postgres', 'csv'] as const)('the state of a run into %s', (target) => {
  /** A run of which one stream is in its target, and the other one in part. */
  async function interrupted(): Promise<string> {
    const file = await pipeline(target)
    const { runPipeline, loadPipeline } = await import('@nebula/runtime')
    const drain = new AbortController()
    const report = await runPipeline(await loadPipeline(file), {
      drain: drain.signal,
      onEvent: (event) => {
        if (event.kind === 'stream') drain.abort()
      },
    })
    expect(report.streams.map(({ status }) => status)).toEqual(['done', 'interrupted'])
    return file
  }

  test('is none before the first, and ended behind it', async () => {
    const file = await pipeline(target)
    expect(await state(file)).toEqual({ pipeline: 'shop', status: 'none', streams: [], deadLetters: 0 })
    const { stdout } = await nebula('run', file, '--json')
    const { run } = JSON.parse(stdout) as Report
    const { streams, ...rest } = await state(file)
    const startedAt = expect.stringMatching(/^20\d\d-/)
    expect(rest).toEqual({ pipeline: 'shop', status: 'ended', run, epoch: 1, startedAt, deadLetters: 0 })
    expect(streams).toMatchObject([
      { stream: 'lines', status: 'finished', rows: 2, rejected: 0 },
      { stream: 'orders', status: 'finished', rows: 20_000, rejected: 0 },
    ])
    expect((await nebula('state', 'reset', file, '--yes')).stdout).toBe('no run is interrupted: nothing to reset\n')
  })

  test('shows what an interrupted one reached, and a reset gives it up', async () => {
    const file = await interrupted()
    const shown = await nebula('state', 'show', file)
    expect(shown.stdout).toMatch(/^shop: interrupted; nebula run goes on with it\nrun \w{8}, begun 20/)
    expect(shown.stdout).toMatch(/^lines +finished /m)
    expect(shown.stdout).toMatch(/^orders +(not )?begun +\d+ of \d+ /m)
    const before = (await state(file)).run
    expect(await staged(target)).toHaveLength(1)

    const unasked = await nebula('state', 'reset', file)
    expect(unasked.code).toBe(2)
    expect(unasked.stderr).toContain('Give --yes.')
    expect((await state(file)).status).toBe('interrupted')

    const { code, stdout } = await nebula('state', 'reset', file, '--yes')
    expect(stdout).toBe('orders: the next run begins anew\n')
    expect(code).toBe(0)
    expect(await staged(target)).toEqual([])

    const again = JSON.parse((await nebula('run', file, '--json')).stdout) as Report
    expect(again).toMatchObject({ status: 'done', resumed: false })
    expect(again.run).not.toBe(before)
    expect(again.streams.map(({ read }) => read)).toEqual([2, 20_000])
  })

  test('of one stream is given up alone', async () => {
    const file = await interrupted()
    const finished = await nebula('state', 'reset', file, '--stream', 'lines', '--yes')
    expect(finished.code).toBe(2)
    expect(finished.stderr).toContain('unfinished are: orders.')
    const one = await nebula('state', 'reset', file, '--stream', 'orders', '--yes', '--json')
    expect(JSON.parse(one.stdout)).toEqual({ pipeline: 'shop', discarded: ['orders'] })
    expect((await state(file)).streams[1]).toMatchObject({ status: 'not begun', rows: 0 })
    const again = JSON.parse((await nebula('run', file, '--json')).stdout) as Report
    expect(again.streams).toMatchObject([{ status: 'finished_before' }, { status: 'done', read: 20_000, resumed: 0 }])
  })

  test('does not fit a changed pipeline, which is refused until it is reset', async () => {
    const file = await interrupted()
    await pipeline(target, { streams: { '*': {}, orders: { exclude: ['note'] } } })
    const refused = await nebula('run', file)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('error config_changed: shop has an interrupted run')
    expect(refused.stderr).toContain('(stream orders: exclude)')
    expect(refused.stderr).toContain('nebula state reset FILE')
    expect((await nebula('state', 'reset', file, '--yes')).code).toBe(0)
    expect((await nebula('run', file)).code).toBe(0)
  })
})

describe('two runs of one pipeline', () => {
  test('the second one says so and stops; a killed one is followed at once', async () => {
    const file = await pipeline('postgres')
    expect((await nebula('run', file)).code).toBe(0)
    await whileRunning(file, async (child) => {
      const second = await nebula('run', file)
      expect(second.code).toBe(2)
      expect(second.stderr).toContain(`Another run of this pipeline is under way (process ${child.pid}).`)
      for (const verb of [
        ['state', 'reset', file, '--yes'],
        ['dlq', 'replay', file],
      ])
        expect((await nebula(...verb)).stderr).toContain('error run_locked')
      child.kill('SIGKILL')
      await once(child, 'exit')
    })
    // Nothing waits for the lock: a run that finds it held ends at once.
    const { code, stderr } = await runNebula({ args: ['run', file], cwd: folder(), env: {} })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})
