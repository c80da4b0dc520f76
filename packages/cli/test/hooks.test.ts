import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { takeLock } from '@nebula/base'
import type { Report } from '@nebula/runtime'
import { beforeEach, expect, test } from 'vitest'
import type { Printed } from './harness.ts'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)
/** Says which hook it was, and what it was told. */
const told = (hook: string): string =>
  `echo "${hook} $NEBULA_PIPELINE $NEBULA_STATUS $NEBULA_EXIT_CODE [$NEBULA_RUN] [$NEBULA_ERROR]"; ` +
  `test -z "$NEBULA_REPORT" || cp "$NEBULA_REPORT" "$(dirname "$NEBULA_REPORT")/seen.json"`

beforeEach(async () => {
  await mkdir(at('in'))
  await writeFile(at('in', 'orders.csv'), 'id,n\n1,5\n2,x\n')
})

async function run(more: object, ...flags: string[]): Promise<Printed> {
  const source = { connector: 'csv', path: './in' }
  const destination = { connector: 'csv', path: './out' }
  const hooks = { on_success: told('success'), on_failure: told('failure') }
  await writeFile(at('shop.json'), JSON.stringify({ source, destination, ...hooks, ...more }))
  return nebula('run', at('shop.json'), '--json', '--quiet', ...flags)
}

const INT = { types: { n: 'int32' } }

test('on_success runs when every row arrived, with the report that is there by then', async () => {
  const { code, stdout, stderr } = await run({})
  expect(code).toBe(0)
  const report = JSON.parse(stdout) as Report
  expect(stderr).toBe(`success shop done 0 [${report.run}] []\n`)
  expect(JSON.parse(await readFile(at('.nebula', 'seen.json'), 'utf8'))).toEqual(report)
})

test.each([
  ['failed 4', 4, {}],
  ['partial 5', 5, { max_errors: 1 }],
])('on_failure runs behind a run that %s', async (words, exitCode, more) => {
  const { code, stdout, stderr } = await run({ streams: { orders: { ...INT, ...more } } })
  expect(code).toBe(exitCode)
  expect(stderr).toBe(`failure shop ${words} [${(JSON.parse(stdout) as Report).run}] []\n`)
})

test('on_failure runs when there is not even a report', async () => {
  const { code, stdout, stderr } = await run({ streams: { none: {} } })
  expect(code).toBe(2)
  expect(stdout).toContain('"code":"stream_not_found"')
  expect(stderr).toBe('failure shop failed 2 [] [stream_not_found]\n')
})

test('a hook that fails is told, and fails a run that was done', async () => {
  const { code, stderr } = await run({ on_success: 'echo no network >&2; exit 7' })
  expect(code).toBe(1)
  expect(stderr).toBe('no network\non_success failed with exit code 7\n')
  const partial = await run({ streams: { orders: INT }, on_failure: 'kill -9 $$' })
  expect(partial.code).toBe(4)
  expect(partial.stderr).toBe('on_failure was ended by a signal\n')
})

test('no hook runs for a run that only found another one', async () => {
  await mkdir(at('.nebula'))
  const release = await takeLock(at('.nebula', 'shop.lock'))
  const { code, stderr } = await run({})
  await release()
  expect(code).toBe(2)
  expect(stderr).toBe('')
})

test('a pipeline without hooks runs none', async () => {
  expect((await run({ on_success: undefined, on_failure: undefined })).stderr).toBe('')
})
