import { inspect } from 'node:util'
import { isNebulaError } from '@nebula/core'
import { expect, test } from 'vitest'
import { PostgresConfig, resolveLogin } from '../src/config.ts'

const login = (url: string, rest: object = {}) => resolveLogin(PostgresConfig.parse({ url, ...rest }))

test.each([
  ['postgres://u:p@h:5433/db', { user: 'u', password: 'p', host: 'h', port: 5433, database: 'db' }],
  ['postgresql://u@h', { user: 'u', password: undefined, host: 'h', port: 5432, database: 'u' }],
  ['postgres://u:p%40%2F%25@h/d%20b', { password: 'p@/%', database: 'd b' }],
  ['postgres://u:p@a/b:c@h/db', { password: 'p@a/b:c', host: 'h', database: 'db' }],
  ['postgres://u:1/2@3@h:1/db', { password: '1/2@3', host: 'h', port: 1 }],
  [`postgres://u:50%'"@h/db`, { password: `50%'"` }],
  ['postgres://u:p?x@h/db', { password: 'p?x' }],
  ['postgres://u:p@[::1]:5433/db', { host: '::1', port: 5433 }],
  ['postgres://u@%2Fvar%2Frun%2Fpg/db', { host: '/var/run/pg' }],
  [
    'postgres:///db?host=/var/run/pg&port=5434&user=me',
    { host: '/var/run/pg', port: 5434, database: 'db', user: 'me' },
  ],
  [
    'postgres://u@h/db?sslmode=verify-full&sslrootcert=/ca.pem',
    { tls: expect.objectContaining({ mode: 'verify-full', ca: '/ca.pem' }) as unknown },
  ],
  ['postgres://u@h/db?options=-c%20a%3Db', { options: '-c a=b' }],
])('%s', (url, expected) => {
  expect(login(url)).toMatchObject(expected)
})

test('keys beside the URL win', () => {
  expect(
    login('postgres://u:p@h/db', { host: 'other', port: 1, database: 'd', username: 'v', password: 'q' }),
  ).toMatchObject({
    host: 'other',
    port: 1,
    database: 'd',
    user: 'v',
    password: 'q',
  })
})

test.each(['mysql://h/db', 'postgres://h/db?nonsense=1', 'postgres://h/db?sslmode=maybe', 'postgres://h:x/db'])(
  'refuses %s',
  (url) => {
    let error: unknown
    try {
      login(url)
    } catch (reason) {
      error = reason
    }
    expect(isNebulaError(error, 'config_invalid')).toBe(true)
  },
)

test('secrets print as stars', () => {
  const config = PostgresConfig.parse({ url: 'postgres://u:hidden@h/db', password: 'hidden' })
  expect(JSON.stringify(config) + inspect(config) + String(config.url)).not.toContain('hidden')
})
