import { expect, test } from 'vitest'
import { nebula } from './harness.ts'

test('connectors lists what is installed, and what each can do', async () => {
  const { code, stdout, stderr } = await nebula('connectors')
  expect(code).toBe(0)
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^csv {7}\d+\.\d+\.\d+ +source +destination$/m)
  expect(stdout).toMatch(/^postgres {2}\d+\.\d+\.\d+ +source +destination$/m)
})

test('connectors --json is for programs', async () => {
  const { stdout } = await nebula('connectors', '--json')
  expect(JSON.parse(stdout)).toEqual([
    { name: 'csv', version: expect.stringMatching(/^\d/) as unknown, installed: true, source: true, destination: true },
    {
      name: 'postgres',
      version: expect.stringMatching(/^\d/) as unknown,
      installed: true,
      source: true,
      destination: true,
    },
  ])
})
