import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '@nebula/runtime'
import { createDatabase, query } from '@nebula/testkit'
import pg from 'pg'
import { beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
const ROWS = 20_000
/** A key of advisory locks. */
const GATE = 42
let url = ''

beforeAll(async () => {
  url = await createDatabase({ url: inject('postgres')['18'] })
  process.env['STOP_TARGET'] = url
})

beforeEach(async () => {
  await query(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  // Row 10,000 comes in only while nobody holds the gate.
  await query(
    url,
    `CREATE FUNCTION open_gate(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
       IF id = 10000 THEN PERFORM pg_advisory_xact_lock_shared(${GATE}); END IF; RETURN true; END $$;
     CREATE TABLE orders (id bigint CHECK (open_gate(id)), note text)`,
  )
  await mkdir(at('in'))
  const rows = Array.from({ length: ROWS }, (_, i) => `${i},${'x'.repeat(50)}`)
  await writeFile(at('in', 'orders.csv'), `id,note\n${rows.join('\n')}\n`)
  const source = { connector: 'csv', path: './in', advanced: { partition_bytes: 100_000 } }
  const destination = { connector: 'postgres', url: '${STOP_TARGET}' }
  const streams = { orders: { mode: 'append' } }
  await writeFile(at('shop.json'), JSON.stringify({ source, destination, parallel: 1, streams }))
})

interface Child {
  readonly signal: (name: 'SIGINT' | 'SIGTERM') => void
  /** Until its stderr says so. */
  readonly said: (text: string) => Promise<void>
  readonly ended: Promise<{ code: number | null; report: Report; stderr: string }>
}

/** A run in a process of its own, while its task stands before the gate; `open` opens it. */
async function atGate(work: (child: Child, open: () => Promise<void>) => Promise<void>): Promise<void> {
  const holder = new pg.Client({ connectionString: url })
  await holder.connect()
  await holder.query(`SELECT pg_advisory_lock(${GATE})`)
  const child = spawn(process.execPath, ['--conditions=source', BIN, 'run', at('shop.json'), '--json'], {
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (printed.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed.stderr += text))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve)).then((code) => ({
    code,
    report: JSON.parse(printed.stdout) as Report,
    stderr: printed.stderr,
  }))
  try {
    const waiting = `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = ${GATE} AND NOT granted`
    while ((await holder.query(waiting)).rows.length === 0);
    const said = async (text: string): Promise<void> => {
      while (!printed.stderr.includes(text)) await new Promise((resolve) => child.stderr.once('data', resolve))
    }
    const open = async (): Promise<void> => {
      await holder.query(`SELECT pg_advisory_unlock(${GATE})`)
    }
    await work({ signal: (name) => child.kill(name), said, ended }, open)
  } finally {
    child.kill('SIGKILL')
    await holder.end()
  }
}

async function goesOn(resumed: number): Promise<void> {
  const { code, stdout } = await nebula('run', at('shop.json'), '--json')
  expect(code).toBe(0)
  expect((JSON.parse(stdout) as Report).streams[0]).toMatchObject({ read: ROWS, written: ROWS, resumed })
  expect(await query(url, 'SELECT count(*)::int AS n, count(DISTINCT id)::int AS ids FROM orders')).toEqual([
    { n: ROWS, ids: ROWS },
  ])
}

describe('a run that is told to stop', () => {
  test.each(['SIGINT', 'SIGTERM'] as const)('by one %s ends at its next commit, with exit code 130', async (name) => {
    let resumed = 0
    await atGate(async ({ signal, said, ended }, open) => {
      signal(name)
      await said('stopping: nothing new begins')
      await open()
      const { code, report, stderr } = await ended
      expect(stderr).toBe(
        'stopping: nothing new begins, and what is under way has 10 s to reach its next commit; again to stop at once\n',
      )
      expect(code).toBe(130)
      expect(report).toMatchObject({ status: 'interrupted', exitCode: 130 })
      resumed = report.rows
      // The partition that stood at the gate came in.
      expect(resumed).toBeGreaterThan(10_000)
      expect(resumed).toBeLessThan(ROWS)
    })
    await goesOn(resumed)
  })

  test('by a second signal ends at once', async () => {
    let resumed = 0
    await atGate(async ({ signal, said, ended }) => {
      signal('SIGINT')
      await said('again to stop at once')
      signal('SIGINT')
      const { code, report, stderr } = await ended
      expect(stderr).toContain('stopping at once')
      expect(code).toBe(130)
      resumed = report.rows
      expect(resumed).toBeLessThanOrEqual(10_000)
    })
    await goesOn(resumed)
  })

  test('by --timeout ends as by a signal', async () => {
    const { code, stderr, stdout } = await nebula('run', at('shop.json'), '--json', '--timeout', '1ms')
    expect(code).toBe(130)
    expect(stderr).toContain('the time is over: nothing new begins')
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'aborted' } })
    expect((await nebula('run', at('shop.json'), '--timeout', 'soon')).code).toBe(2)
    await goesOn(0)
  })
})

describe('streams of which one fails', () => {
  async function two(onStreamError: 'continue' | 'stop'): Promise<Report> {
    await query(url, 'DROP TABLE orders')
    await writeFile(at('in', 'a_bad.csv'), 'id\n1\nx\n')
    const source = { connector: 'csv', path: './in' }
    const destination = { connector: 'postgres', url: '${STOP_TARGET}' }
    const streams = { a_bad: { types: { id: 'int64' } }, orders: {} }
    const more = { parallel: 1, on_stream_error: onStreamError, streams }
    await writeFile(at('shop.json'), JSON.stringify({ source, destination, ...more }))
    const { code, stdout } = await nebula('run', at('shop.json'), '--json')
    const report = JSON.parse(stdout) as Report
    expect(report.exitCode).toBe(code)
    return report
  }

  test('continue: the others arrive, and the exit code is 5', async () => {
    const report = await two('continue')
    expect(report).toMatchObject({ status: 'partial', exitCode: 5 })
    expect(report.streams.map(({ status }) => status)).toEqual(['failed', 'done'])
    expect(await query(url, 'SELECT count(*)::int AS n FROM orders')).toEqual([{ n: ROWS }])
  })

  test('stop: the others are interrupted, and the exit code is that of the failure', async () => {
    const report = await two('stop')
    expect(report).toMatchObject({ status: 'failed', exitCode: 4 })
    expect(report.streams.map(({ status }) => status)).toEqual(['failed', 'interrupted'])
    expect(await query(url, `SELECT to_regclass('orders') AS t`)).toEqual([{ t: null }])
  })
})

describe('schema_evolution: freeze', () => {
  test.each(['append', 'overwrite'] as const)(
    '%s: a target with other columns is refused before anything is written',
    async (mode) => {
      await query(url, 'DROP TABLE orders; CREATE TABLE orders (id bigint, remark text, day date NOT NULL)')
      await writeFile(at('in', 'orders.csv'), 'id,note\n1,x\n')
      const source = { connector: 'csv', path: './in' }
      const destination = { connector: 'postgres', url: '${STOP_TARGET}', advanced: { schema_evolution: 'freeze' } }
      await writeFile(at('shop.json'), JSON.stringify({ source, destination, streams: { orders: { mode } } }))
      const { code, stdout } = await nebula('run', at('shop.json'), '--json')
      expect(code).toBe(2)
      const { error } = JSON.parse(stdout) as { error: { code: string; message: string } }
      expect(error.code).toBe('target_incompatible')
      expect(error.message).toContain('column note: the target has no such column')
      expect(error.message).toContain('the target needs a value in day')
      expect(await query(url, `SELECT to_regclass('nebula_checkpoints') AS t`)).toEqual([{ t: null }])
    },
  )

  test('any other value is refused, with its place', async () => {
    const text =
      'source: { connector: csv, path: ./in }\ndestination:\n  connector: postgres\n  advanced: { schema_evolution: add }\n'
    await writeFile(at('shop.yaml'), text)
    const { code, stderr } = await nebula('run', at('shop.yaml'))
    expect(code).toBe(2)
    expect(stderr).toContain('shop.yaml:4:')
  })
})
