import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { certifyCommand } from '../src/command/certify-command.ts'

const BIN = fileURLToPath(new URL('../src/command/bin.ts', import.meta.url))
const CSV = fileURLToPath(new URL('../../connector-csv/src/index.ts', import.meta.url))
const REFERENCE = fileURLToPath(new URL('reference-connector.ts', import.meta.url))

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function certify(...args: readonly string[]): Promise<Result> {
  const printed = { stdout: '', stderr: '' }
  const to = (stream: 'stdout' | 'stderr') => ({ write: (text: string) => (printed[stream] += text) })
  const code = await certifyCommand(args, { stdout: to('stdout'), stderr: to('stderr') })
  return { code, ...printed }
}

/** As a process of its own. */
function run(...args: readonly string[]): Promise<Result> {
  return new Promise((resolve) => {
    const node = ['--conditions=source', '--disable-warning=ExperimentalWarning']
    execFile(process.execPath, [...node, BIN, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    })
  })
}

async function fileOf(name: string, content: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nebula-certify-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, name), content)
  return join(folder, name)
}

describe('nebula-certify', { timeout: 60_000 }, () => {
  test('prints a line for each check, and how many there were', async () => {
    const config = await fileOf('place.yaml', "path: '{folder}'\nperformance: { batch_size: 1000 }\n")
    const { code, stdout, stderr } = await certify(
      CSV,
      '--config',
      config,
      '--group',
      'config',
      '--group',
      'health and metrics',
    )
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^ok {4}config: describes every key, and the values that it takes \(\d+ ms\)$/m)
    expect(stdout).toContain(
      'skip  health and metrics: is healthy exactly while the server answers: its system is no server',
    )
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('8 passed, 0 failed, 1 skipped')
  })

  test('takes a folder as the place of a connector with a path', async () => {
    const { code, stdout } = await run(CSV, '--group', 'config', '--json')
    expect(code).toBe(0)
    const summary = JSON.parse(stdout) as { checks: unknown[] }
    expect(summary).toMatchObject({ connector: 'csv', passed: 6, failed: 0, skipped: 0 })
    expect(summary.checks[0]).toMatchObject({ group: 'config', status: 'passed' })
  })

  test('ends with 1 when a check fails, and says why', async () => {
    const broken = await fileOf(
      'broken.ts',
      `import { referenceConnector } from ${JSON.stringify(REFERENCE)}
       export const broken = referenceConnector({ source: (good) => ({ ...good, discover: async () => ({ streams: [] }) }) })`,
    )
    const config = await fileOf('place.json', '{ "place": "{place}" }')
    const { code, stdout } = await run(broken, '--config', config, '--group', 'discovery')
    expect(code).toBe(1)
    expect(stdout).toMatch(
      /^FAIL {2}discovery: tells of its streams in JSON, each once \(\d+ ms\)\n {7}The stream first is told of 0 times\.$/m,
    )
    expect(stdout).toMatch(/\d passed, [1-9] failed, 1 skipped\n$/)
  })

  test('takes a module with all that can be told, a server among it', async () => {
    const options = await fileOf(
      'place.ts',
      `export { referenceServerOptions as options } from ${JSON.stringify(REFERENCE)}`,
    )
    const connector = await fileOf(
      'reference.ts',
      `import { referenceConnector } from ${JSON.stringify(REFERENCE)}
       export const reference = referenceConnector()`,
    )
    const { code, stdout } = await run(connector, '--config', options, '--group', 'health and metrics')
    expect([code, stdout.trimEnd().split('\n').at(-1)]).toEqual([0, '3 passed, 0 failed, 0 skipped'])
  })

  test.each([
    [
      'a package that is not installed',
      ['no-such-thing'],
      /connector_not_found.*nebula-connector-no-such-thing.*npm install/s,
    ],
    ['a module that is not there', ['./no-such-module.js'], /file_not_found: There is no module/],
    ['a module without a connector', [REFERENCE], /connector_invalid: .* exports no connector/],
    ['no package', [], /usage: Say which package/],
    ['an unknown option', [CSV, '--verbose'], /usage: Unknown option '--verbose'/],
    ['an unknown group', [CSV, '--group', 'speed'], /usage: There is no group speed/],
    ['a file that is not there', [CSV, '--config', 'no-such.yaml'], /file_not_found: .*no-such\.yaml cannot be read/],
  ])('says what is wrong with %s', async (_, args, says) => {
    const { code, stdout, stderr } = await certify(...args)
    expect([code, stdout]).toEqual([code, ''])
    expect(code).toBeGreaterThan(1)
    expect(stderr).toMatch(says)
  })

  test('says where the configuration is wrong', async () => {
    const config = await fileOf('place.yaml', "path: '{folder}'\ndelimeter: ';'\n")
    const { code, stderr } = await certify(CSV, '--config', config)
    expect(code).toBe(2)
    expect(stderr).toContain(`${config}:2:1: unknown key delimeter; did you mean delimiter?`)
  })

  test('prints help with examples', async () => {
    const { code, stdout } = await certify('--help')
    expect(code).toBe(0)
    expect(stdout).toContain('Examples:\n  nebula-certify @nebula/connector-csv')
  })
})
