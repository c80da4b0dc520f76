import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseConnectionUrl } from '../src/index.ts'

const SCHEMES = ['db', 'database']

function parts(url: string): object {
  const { options, ...rest } = parseConnectionUrl(url, SCHEMES)
  return options.size === 0 ? rest : { ...rest, options: Object.fromEntries(options) }
}

test.each([
  ['db://u:p@h:5433/d', { user: 'u', password: 'p', host: 'h', port: '5433', database: 'd' }],
  ['database://h', { host: 'h' }],
  ['DB://h', { host: 'h' }],
  ['db://', {}],
  ['db://u@h/', { user: 'u', host: 'h' }],
  ['db://:p@h', { password: 'p', host: 'h' }],
  ['db://u:p%40%2F%25@h/d%20b', { user: 'u', password: 'p@/%', host: 'h', database: 'd b' }],
  ['db://u:p@a/b:c@h/d', { user: 'u', password: 'p@a/b:c', host: 'h', database: 'd' }],
  ['db://u:1/2@3@h:1/d', { user: 'u', password: '1/2@3', host: 'h', port: '1', database: 'd' }],
  [`db://u:50%'"@h`, { user: 'u', password: `50%'"`, host: 'h' }],
  ['db://u:p?x@h', { user: 'u', password: 'p?x', host: 'h' }],
  ['db://u:caf%C3%A9@h', { user: 'u', password: 'café', host: 'h' }],
  ['db://u@[::1]:5433/d', { user: 'u', host: '::1', port: '5433', database: 'd' }],
  ['db://u@%2Fvar%2Frun/d', { user: 'u', host: '/var/run', database: 'd' }],
  ['db://h/a/b', { host: 'h', database: 'a/b' }],
  ['db:///d?host=/run&port=1', { database: 'd', options: { host: '/run', port: '1' } }],
  ['db://u:p@h/d?to=a@b', { user: 'u', password: 'p', host: 'h', database: 'd', options: { to: 'a@b' } }],
  ['db://h?a=b=c&d%20=%26&e&&f=', { host: 'h', options: { a: 'b=c', 'd ': '&', e: '', f: '' } }],
])('%s', (url, expected) => {
  expect(parts(url)).toEqual(expected)
})

describe('every text', () => {
  const text = fc.string({ unit: 'binary', minLength: 1 })

  test('arrives in each part when it is percent-encoded', () => {
    const port = fc.nat(65_535).map(String)
    const all = fc.record({
      user: text,
      password: text,
      host: text,
      port,
      database: text,
      options: fc.tuple(text, text),
    })
    fc.assert(
      fc.property(all, ({ options: [key, value], ...rest }) => {
        const encode = encodeURIComponent
        const authority = `${encode(rest.user)}:${encode(rest.password)}@${encode(rest.host)}:${rest.port}`
        const url = `db://${authority}/${encode(rest.database)}?${encode(key)}=${encode(value)}`
        expect(parseConnectionUrl(url, SCHEMES)).toEqual({ ...rest, options: new Map([[key, value]]) })
      }),
    )
  })

  test('arrives as a password as it is, without percent and question marks', () => {
    const unit = fc.constantFrom('@', '/', ':', '1', 'a', '[', ']', '#', '&', '=', ' ', '\n', 'é')
    fc.assert(
      fc.property(fc.string({ unit, minLength: 1 }), (password) => {
        expect(parts(`db://u:${password}@h:1/d`)).toEqual({ user: 'u', password, host: 'h', port: '1', database: 'd' })
      }),
    )
  })
})

test.each([
  '',
  'u:hunter2@h/d',
  'mysql://u:hunter2@h/d',
  'db:/u:hunter2@h/d',
  ' db://u:hunter2@h/d',
  'db://u:hunter2@h:port/d',
  'db://u:hunter2@[::1/d',
])('refuses "%s", and tells nothing of it', (url) => {
  let error: unknown
  try {
    parseConnectionUrl(url, SCHEMES)
  } catch (reason) {
    error = reason
  }
  expect(error).toMatchObject({
    code: 'config_invalid',
    message: 'The url is not db://user:password@host:port/database.',
  })
  expect(inspect(error)).not.toContain('hunter2')
})
