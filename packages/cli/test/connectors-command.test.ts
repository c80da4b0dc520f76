import { expect, test } from 'vitest'
import { nebula } from './harness.ts'

test('connectors lists what is installed, and what each can do', async () => {
  const { code, stdout, stderr } = await nebula('connectors')
  expect(code).toBe(0)
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^csv {7}\d+\.\d+\.\d+ +source +destination$/m)
  expect(stdout).toMatch(/^mongo {5}\d+\.\d+\.\d+ +source +destination$/m)
  expect(stdout).toMatch(/^postgres {2}\d+\.\d+\.\d+ +source +destination$/m)
})

test('connectors --json is for programs', async () => {
  const { stdout } = await nebula('connectors', '--json')
  const version: unknown = expect.stringMatching(/^\d/)
  const both = { version, installed: true, source: true, destination: true }
  expect(JSON.parse(stdout)).toEqual(['csv', 'mongo', 'postgres'].map((name) => ({ name, ...both })))
})

test('lists the keys of one, with defaults and what they do', async () => {
  const { code, stdout } = await nebula('connectors', 'postgres')
  expect(code).toBe(0)
  expect(stdout).toMatch(/^schema +"public" +of targets/m)
  expect(stdout).toMatch(/^timeouts\.request +"30s" +until a request is answered/m)
  const { stdout: json } = await nebula('connectors', 'csv', '--json')
  expect(JSON.parse(json)).toContainEqual({ key: 'delimiter', initial: '","', description: 'between fields' })
})
