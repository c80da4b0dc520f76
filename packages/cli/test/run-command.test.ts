import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '@nebula/runtime'
import { describe, expect, test } from 'vitest'
import type { Printed } from './harness.ts'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
const ORDERS = 'id,customer\n1,Ann\n2,"Bob ""the"" Builder"\n3,\n'

async function input(
  files: Record<string, string> = { 'orders.csv': ORDERS, 'lines.csv': 'id,n\n1,5\n' },
): Promise<void> {
  await mkdir(at('in'), { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(at('in', name), text)
}

async function pipeline(more: string): Promise<string> {
  await writeFile(
    at('shop.yaml'),
    `source: { connector: csv, path: ./in }\ndestination: { connector: csv, path: ./out }\n${more}`,
  )
  return at('shop.yaml')
}

/** `run --from ... --to ...` between two folders of the test. */
const line = (...args: string[]): Promise<Printed> =>
  nebula('run', '--from', `csv:${at('in')}`, '--to', `csv:${at('out')}`, '--state', at('state'), ...args)

const output = async (): Promise<string[]> => (await readdir(at('out'))).filter((name) => !name.startsWith('.')).sort()

describe('nebula run', () => {
  test('moves every file of a folder, and reports it for people', async () => {
    await input()
    const { code, stdout, stderr } = await line()
    expect(code).toBe(0)
    expect(await output()).toEqual(['lines.csv', 'orders.csv'])
    expect(await readFile(at('out', 'orders.csv'), 'utf8')).toBe(ORDERS)
    expect(stdout).toMatch(/^stream +status +read +written +filtered +rejected +bytes$/m)
    expect(stdout).toMatch(/^orders +done +3 +3 +0 +0 /m)
    expect(stdout).toMatch(/^done: 4 rows in /m)
    expect(stderr).toContain('orders -> orders: done, 3 rows\n')
    expect((await readdir(at('state'))).filter((name) => name.endsWith('.report.json'))).toHaveLength(1)
  })

  test('--quiet shows no progress', async () => {
    await input()
    const { code, stdout, stderr } = await line('--quiet')
    expect(code).toBe(0)
    expect(stderr).toBe('')
    expect(stdout).toContain('done: 4 rows')
  })

  test('--json prints the report for programs, and nothing else', async () => {
    await input()
    const { code, stdout, stderr } = await line('--json')
    expect(code).toBe(0)
    expect(stderr).toBe('')
    const report = JSON.parse(stdout) as Report
    expect(report).toMatchObject({ status: 'done', exitCode: 0, rows: 4 })
    expect(report.streams.map(({ stream }) => stream)).toEqual(['lines', 'orders'])
  })

  test('--streams takes names and globs, --limit bounds the rows of each', async () => {
    await input()
    expect((await line('--streams', 'order*, lines', '--limit', '2', '--json')).code).toBe(0)
    expect(await readFile(at('out', 'orders.csv'), 'utf8')).toBe(ORDERS.split('\n').slice(0, 3).join('\n') + '\n')
    await input({ 'more.csv': 'a\n1\n' })
    expect((await line('--streams', 'more')).code).toBe(0)
    expect(await output()).toEqual(['lines.csv', 'more.csv', 'orders.csv'])
  })

  test('a pipeline file runs from any folder, with its state beside it', async () => {
    await input()
    const { code } = await nebula(
      'run',
      await pipeline('streams: { orders: { rename: { customer: who }, target: people } }'),
    )
    expect(code).toBe(0)
    expect(await output()).toEqual(['people.csv'])
    expect(await readFile(at('out', 'people.csv'), 'utf8')).toMatch(/^id,who\n/)
    expect(await readdir(at('.nebula'))).toEqual([
      'shop.progress.json',
      'shop.report.html',
      'shop.report.json',
      'shop.schemas.json',
    ])
  })

  test('--streams of a file keeps what the file says of them', async () => {
    await input()
    const file = await pipeline('streams: { orders: { mask: { customer: sha256 } }, lines: {} }')
    expect((await nebula('run', file, '--streams', 'orders')).code).toBe(0)
    expect(await output()).toEqual(['orders.csv'])
    expect(await readFile(at('out', 'orders.csv'), 'utf8')).not.toContain('Ann')
  })

  test('--state, --parallel, --limit and --mode win over the defaults of a file', async () => {
    await input()
    const file = await pipeline('defaults: { limit: 3 }\nname: nightly\n')
    const { code, stdout } = await nebula(
      'run',
      file,
      '--state',
      at('elsewhere'),
      '--parallel',
      '1',
      '--limit',
      '1',
      '--mode',
      'append',
      '--json',
    )
    expect(code).toBe(0)
    const { streams } = JSON.parse(stdout) as Report
    expect(streams.map(({ mode, read }) => [mode, read])).toEqual([
      ['append', 1],
      ['append', 1],
    ])
    expect(await readdir(at('elsewhere'))).toContain('nightly.report.json')
  })

  test('--env-file sets variables that are not set', async () => {
    await input()
    await writeFile(at('vars'), `NEBULA_TEST_FOLDER=${at('in')}\nPATH=/nowhere\n`)
    const before = process.env['PATH']
    try {
      const { code } = await nebula(
        'run',
        '--from',
        'csv:${NEBULA_TEST_FOLDER}',
        '--to',
        `csv:${at('out')}`,
        '--state',
        at('state'),
        '--env-file',
        at('vars'),
      )
      expect(code).toBe(0)
      expect(process.env['PATH']).toBe(before)
    } finally {
      delete process.env['NEBULA_TEST_FOLDER']
    }
  })
})

describe('the log', () => {
  /** What a run logs, whose progress file cannot be written. */
  async function logged(config: string, more = ''): Promise<object[]> {
    await input({ 'orders.csv': 'id\n1\n' })
    await writeFile(
      at('shop.yaml'),
      `source: { connector: csv, path: ./in, ${config} }\ndestination: { connector: csv, path: ./out${more} }\n`,
    )
    await mkdir(at('.nebula', 'shop.progress.json.tmp'), { recursive: true })
    const { code, stderr } = await nebula('run', at('shop.yaml'), '--quiet')
    expect(code).toBe(0)
    return stderr.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as object]))
  }
  const warning = { level: 'warn', message: 'the progress cannot be written' }
  const batch = { level: 'debug', message: 'batch', stream: 'orders', read: 1, written: 1 }

  test.each([
    ['warn', [warning]],
    ['error', []],
  ])('observability.log_level %s', async (level, expected) => {
    expect(await logged(`observability: { log_level: ${level} }`)).toMatchObject(expected)
  })

  test('advanced.debug of the source logs every batch, whatever log_level says', async () => {
    const config = 'observability: { log_level: error }, advanced: { debug: true }'
    expect(await logged(config)).toEqual(expect.arrayContaining([expect.objectContaining(batch) as unknown]))
  })

  test('advanced.debug of the destination shows what is logged for it', async () => {
    const found = await logged('observability: { log_level: error }', ', advanced: { debug: true }')
    expect(found).toEqual([expect.objectContaining(warning) as unknown])
  })
})

describe('what goes wrong is told with code, place, remedy and exit code', () => {
  test('an env file that is not there', async () => {
    const { code, stderr } = await line('--env-file', at('none'))
    expect(code).toBe(3)
    expect(stderr).toBe(
      `error file_not_found: The env file ${at('none')} cannot be read.\n  what to do: Correct the path.\n`,
    )
  })

  test('a missing pipeline file', async () => {
    const { code, stdout, stderr } = await nebula('run', at('none.yaml'))
    expect(code).toBe(3)
    expect(stdout).toBe('')
    expect(stderr).toBe(
      `error file_not_found: The pipeline file ${at('none.yaml')} cannot be read.\n  what to do: Correct the path.\n`,
    )
  })

  test('a key that nothing reads', async () => {
    const file = await pipeline('paralel: 3\n')
    const { code, stderr } = await nebula('run', file)
    expect(code).toBe(2)
    expect(stderr).toBe(
      `error config_unknown_key: ${file}:3:1: unknown key paralel; did you mean parallel?\n` +
        '  what to do: Use the name that the message suggests, or remove the key.\n',
    )
  })

  test('a connector that is not installed', async () => {
    const { code, stderr } = await nebula(
      'run',
      '--from',
      'oracle:x',
      '--to',
      `csv:${at('out')}`,
      '--state',
      at('state'),
    )
    expect(code).toBe(2)
    expect(stderr).toContain('what to do: Install it: npm install @nebula/connector-oracle')
  })

  test('a variable that is not set, with the place that the message does not have', async () => {
    const file = await pipeline('name: ${NEBULA_TEST_NOT_SET}\n')
    const { code, stderr } = await nebula('run', file)
    expect(code).toBe(2)
    expect(stderr).toBe(
      `error variable_missing: \${NEBULA_TEST_NOT_SET} is not set.\n  at ${file}:3:1\n` +
        '  what to do: Set it, or give a default: ${VARIABLE:-default}.\n',
    )
  })

  test('as JSON on stdout', async () => {
    const file = await pipeline('paralel: 3\n')
    const { code, stdout, stderr } = await nebula('run', file, '--json')
    expect(code).toBe(2)
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'config_unknown_key', place: `${file}:3:1` } })
  })

  test('with its stack for --debug', async () => {
    const { stderr } = await nebula('run', at('none.yaml'), '--debug')
    expect(stderr).toContain('ENOENT')
    expect(stderr).toMatch(/\n {4}at /)
  })

  test('a row that does not fit, with its line; nothing is written', async () => {
    await input({ 'orders.csv': 'id,n\n1,5\n2,x\n' })
    const { code, stdout } = await nebula('run', await pipeline('streams: { orders: { types: { n: int32 } } }\n'))
    expect(code).toBe(4)
    expect(stdout).toContain('error row_rejected (orders): ')
    expect(stdout).toContain('orders.csv line 3')
    expect(stdout).toContain('what to do: ')
    expect(stdout).toMatch(/^failed: /m)
    expect(await output()).toEqual([])
  })

  test('rows that are kept: the others arrive, and the exit code says that some did not', async () => {
    await input({ 'orders.csv': 'id,n\n1,5\n2,x\n3,7\n' })
    const { code, stdout } = await nebula(
      'run',
      await pipeline('streams: { orders: { types: { n: int32 }, max_errors: 1 } }\n'),
    )
    expect(code).toBe(5)
    expect(stdout).toMatch(/^orders +done +3 +2 +0 +1 /m)
    expect(stdout).toMatch(/^rejected rows are kept in .*dead-letters/m)
    expect(await readFile(at('out', 'orders.csv'), 'utf8')).toBe('id,n\n1,5\n3,7\n')
  })

  test('a second run while the first one is under way', async () => {
    await input()
    const file = await pipeline('')
    await mkdir(at('.nebula'))
    const { takeLock } = await import('@nebula/base')
    const release = await takeLock(at('.nebula', 'shop.lock'))
    const { code, stderr } = await nebula('run', file)
    await release()
    expect(code).toBe(2)
    expect(stderr).toContain(`error run_locked: Another run of this pipeline is under way (process ${process.pid}).`)
  })

  test('Ctrl-C: what is committed stays, and the exit code is 130', async () => {
    await input()
    const file = await pipeline('')
    const running = nebula('run', file)
    const listeners = (): number => process.listenerCount('SIGINT')
    const before = listeners()
    while (listeners() === before) await new Promise(setImmediate)
    process.emit('SIGINT')
    const { code, stdout } = await running
    expect(code).toBe(130)
    expect(stdout).toContain('interrupted; the same command goes on from here')
    expect(listeners()).toBe(before)
    expect((await nebula('run', file)).code).toBe(0)
    expect(await readFile(at('out', 'orders.csv'), 'utf8')).toBe(ORDERS)
  })
})
