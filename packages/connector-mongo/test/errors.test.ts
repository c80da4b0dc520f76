import { MongoNetworkError, MongoServerError } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { errorCode, mongoError } from '../src/errors.ts'

function server(code: number, errmsg: string, more: object = {}): MongoServerError {
  return new MongoServerError({ ok: 0, code, errmsg, ...more })
}

describe('errors', () => {
  test.each([
    [13, 'permission_denied', false],
    [18, 'authentication_failed', false],
    [43, 'connection_lost', true],
    [50, 'timeout', true],
    [112, 'conflict', true],
    [121, 'row_rejected', false],
    [10107, 'server_busy', true],
    [11000, 'row_rejected', false],
    [11602, 'server_busy', true],
    [13435, 'server_busy', true],
    [14031, 'disk_full', false],
    [2, 'query_failed', false],
  ] as const)('%s is %s', (code, ours, retryable) => {
    expect(mongoError(server(code, 'it says so'))).toMatchObject({ code: ours, retryable, connector: 'mongo' })
  })

  test('labels count where the code says nothing', () => {
    expect(errorCode(server(999, 'x', { errorLabels: ['TransientTransactionError'] }))).toBe('conflict')
    expect(errorCode(server(999, 'x', { errorLabels: ['RetryableWriteError'] }))).toBe('server_busy')
    expect(errorCode(server(251, 'x', { errorLabels: ['TransientTransactionError'] }))).toBe('conflict')
  })

  test('what caused a network error says which it is', () => {
    const caused = (code: string, message = code): MongoNetworkError =>
      new MongoNetworkError(message, { cause: Object.assign(new Error(message), { code }) })
    expect(errorCode(caused('ECONNREFUSED'))).toBe('connection_failed')
    expect(errorCode(caused('ENOTFOUND'))).toBe('connection_failed')
    expect(errorCode(caused('ECONNRESET'))).toBe('connection_lost')
    expect(errorCode(caused('DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate'))).toBe('tls_failed')
    expect(errorCode(new MongoNetworkError('connection 3 to 1.2.3.4 closed'))).toBe('connection_lost')
  })

  test('no message quotes a value', () => {
    const duplicate = server(
      11000,
      'E11000 duplicate key error collection: shop.a index: _id_ dup key: { _id: "geheim" }',
    )
    expect(mongoError(duplicate, 'Writing a').message).toBe(
      'Writing a: E11000 duplicate key error collection: shop.a index: _id_.',
    )
    const command = 'not authorized on shop to execute command { find: "a", filter: { name: "geheim" }, $db: "shop" }'
    expect(mongoError(server(13, command)).message).toBe('not authorized on shop to execute command.')
    const cast = `Failed to parse number 'geheim' in $convert with no onError value`
    expect(mongoError(server(241, cast)).message).not.toContain('geheim')
  })
})
