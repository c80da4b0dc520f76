import { ERROR_CODES } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { nebula } from './harness.ts'

describe('nebula explain', () => {
  test('says what happened, when it is normal, and what to do', async () => {
    const { code, stdout } = await nebula('explain', 'loss_refused')
    const { what, normal, fix } = ERROR_CODES.loss_refused
    expect(code).toBe(0)
    expect(stdout).toBe(`loss_refused (exit code 2)\n${what}\nwhen it is normal: ${normal}\nwhat to do: ${fix}\n`)
    expect((await nebula('explain', 'Connection-Lost')).stdout).toContain('may succeed when it is tried again')
  })

  test('lists every code, as text and as JSON', async () => {
    const { stdout } = await nebula('explain')
    const listed = JSON.parse((await nebula('explain', '--json')).stdout) as { code: string }[]
    expect(listed.map(({ code }) => code)).toEqual(Object.keys(ERROR_CODES))
    for (const code of Object.keys(ERROR_CODES)) expect(stdout).toContain(`\n${code} `)
  })

  test('--json prints one as it is in the catalogue', async () => {
    const { stdout } = await nebula('explain', 'fenced', '--json')
    expect(JSON.parse(stdout)).toEqual({ code: 'fenced', ...ERROR_CODES.fenced })
  })

  test('knows what was meant', async () => {
    const { code, stderr } = await nebula('explain', 'los_refused')
    expect(code).toBe(2)
    expect(stderr).toContain('There is no error code los_refused; did you mean loss_refused?')
  })
})
