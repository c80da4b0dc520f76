import { describe, expect, test } from 'vitest'
import { ERROR_CODES, isNebulaError, NebulaError, toNebulaError } from '../src/index.ts'

test('an error has the exit code, the advice and the retry of its code', () => {
  const error = new NebulaError('connection_lost', { message: 'The server went away.' })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({ name: 'NebulaError', code: 'connection_lost', message: 'The server went away.' })
  expect(error.exitCode).toBe(3)
  expect(error.retryable).toBe(true)
  expect(error.fix).toBe(ERROR_CODES.connection_lost.fix)
  expect(error.cause).toBeUndefined()
  expect(new NebulaError('usage', { message: 'x' }).retryable).toBe(false)
})

test('details override the catalogue', () => {
  const cause = new Error('ECONNRESET')
  const error = new NebulaError('timeout', { message: 'm', fix: 'Raise it.', retryable: false, cause, stream: 's' })
  expect(error).toMatchObject({ fix: 'Raise it.', retryable: false, cause, stream: 's' })
})

test('at adds the places that the error lacks, and keeps the rest', () => {
  const error = new NebulaError('data_invalid', { message: 'm', stream: 'own', fix: 'f', retryable: true, cause: 1 })
  const placed = error.at({ connector: 'csv', stream: 'other', partition: 'p', place: 'line 3' })
  expect(placed).toMatchObject({
    connector: 'csv',
    stream: 'own',
    partition: 'p',
    place: 'line 3',
    fix: 'f',
    retryable: true,
    cause: 1,
  })
  expect(placed.stack).toBe(error.stack)
  expect(error.connector).toBeUndefined()
})

test('travels as JSON without stack or cause', () => {
  const error = new NebulaError('file_failed', { message: 'm', place: 'a.csv', cause: new Error('secret') })
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    code: 'file_failed',
    message: 'm',
    fix: ERROR_CODES.file_failed.fix,
    retryable: false,
    place: 'a.csv',
  })
})

describe('isNebulaError', () => {
  const error = new NebulaError('aborted', { message: 'm' })

  test('knows errors of any copy of the package, by name and code', () => {
    const foreign = Object.assign(new Error('m'), { name: 'NebulaError', code: 'aborted' })
    expect(isNebulaError(error)).toBe(true)
    expect(isNebulaError(foreign)).toBe(true)
    expect(isNebulaError(error, 'aborted')).toBe(true)
    expect(isNebulaError(error, 'timeout')).toBe(false)
  })

  test.for([
    new Error('m'),
    Object.assign(new Error('m'), { code: 'aborted' }),
    { name: 'NebulaError', code: 'aborted' },
    null,
    'aborted',
  ])('not %s', (value) => expect(isNebulaError(value)).toBe(false))
})

test('toNebulaError keeps ours and wraps the rest', () => {
  const error = new NebulaError('conflict', { message: 'm' })
  expect(toNebulaError(error)).toBe(error)
  const cause = new TypeError('x is not a function')
  expect(toNebulaError(cause)).toMatchObject({ code: 'internal', message: 'Unexpected: x is not a function', cause })
  expect(toNebulaError('text')).toMatchObject({ code: 'internal', message: 'Unexpected: text', cause: 'text' })
})

describe('the catalogue', () => {
  test.for(Object.entries(ERROR_CODES))('%s says what happened, when it is normal and what to do', ([code, entry]) => {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/)
    expect([1, 2, 3, 4, 5, 130]).toContain(entry.exit)
    for (const text of [entry.what, entry.normal, entry.fix]) expect(text).toMatch(/^\S.*\.$/)
  })
})
