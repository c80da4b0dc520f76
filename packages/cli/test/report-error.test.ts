import { NebulaError } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { errorText, reportError } from '../src/report-error.ts'
import { printed } from './harness.ts'

const error = new NebulaError('connection_lost', {
  message: 'The server went away.',
  connector: 'postgres',
  stream: 'orders',
  partition: 'orders:3',
  place: '(4,2)',
  cause: new Error('ECONNRESET'),
})
const quiet = { json: false, debug: false }

describe('errorText', () => {
  test('has code, place, what happened and what to do', () => {
    expect(errorText(error)).toBe(
      'error connection_lost (postgres, orders, orders:3): The server went away.\n  at (4,2)\n' +
        '  what to do: Run the same command again: it goes on where it stopped.',
    )
  })

  test('does not repeat a place that the message has', () => {
    expect(
      errorText(
        new NebulaError('data_invalid', { message: 'a.csv:3: a quote is open.', place: 'a.csv:3', fix: 'Close it.' }),
      ),
    ).toBe('error data_invalid: a.csv:3: a quote is open.\n  what to do: Close it.')
  })
})

describe('reportError', () => {
  test('prints for people on stderr, and gives the exit code', async () => {
    const { code, stdout, stderr } = await printed(() => reportError(error, quiet))
    expect({ code, stdout, stderr }).toEqual({ code: 3, stdout: '', stderr: `${errorText(error)}\n` })
  })

  test('prints JSON on stdout, without the cause', async () => {
    const { stdout, stderr } = await printed(() => reportError(error, { json: true, debug: false }))
    expect(JSON.parse(stdout)).toEqual({ error: JSON.parse(JSON.stringify(error)) as unknown })
    expect(stdout).not.toContain('ECONNRESET')
    expect(stderr).toBe('')
  })

  test('prints stack and cause for --debug', async () => {
    const { stderr } = await printed(() => reportError(error, { json: false, debug: true }))
    expect(stderr).toContain('ECONNRESET')
    expect(stderr).toMatch(/\n +at /)
  })

  test('what is no error of ours is an internal one', async () => {
    const { code, stderr } = await printed(() => reportError(new TypeError('x is undefined'), quiet))
    expect(code).toBe(1)
    expect(stderr).toContain('error internal: Unexpected: x is undefined')
    expect((await printed(() => reportError('a text', quiet))).stderr).toContain('a text')
  })
})
