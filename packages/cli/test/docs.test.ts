import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test('tables of options and the page of errors are what the code declares: else npm run docs', () => {
  const script = fileURLToPath(new URL('../../../tooling/docs.ts', import.meta.url))
  const { status, stderr } = spawnSync(process.execPath, ['--conditions=source', script, '--check'], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  expect([status, stderr]).toEqual([0, ''])
})
