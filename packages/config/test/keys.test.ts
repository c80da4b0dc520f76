import { describe, expect, test } from 'vitest'
import { nearest, snakeCase } from '@nebula/core'
import { camelCase } from '../src/index.ts'

test.each([
  ['batch_size', 'batchSize'],
  ['on_stream_error', 'onStreamError'],
  ['sha_256', 'sha256'],
  ['name', 'name'],
])('%s is %s in TypeScript', (snake, camel) => {
  expect(camelCase(snake)).toBe(camel)
  expect(camelCase(camel)).toBe(camel)
})

test.each([
  ['batchSize', 'batch_size'],
  ['onStreamError', 'on_stream_error'],
  ['Mode', 'Mode'],
  ['name', 'name'],
])('%s is %s in a file', (camel, snake) => {
  expect(snakeCase(camel)).toBe(snake)
})

describe('nearest', () => {
  const names = ['orders', 'order_lines', 'customers']

  test.each([
    ['order', 'orders'],
    ['ORDERS', 'orders'],
    ['odrers', 'orders'],
    ['orderlines', 'order_lines'],
    ['costumers', 'customers'],
  ])('%s was meant to be %s', (name, expected) => {
    expect(nearest(name, names)).toBe(expected)
  })

  test.each(['invoices', 'x', ''])('%s was meant to be none of them', (name) => {
    expect(nearest(name, names)).toBeUndefined()
  })

  test('of two that are as near, the first', () => {
    expect(nearest('ab', ['ac', 'ad'])).toBe('ac')
    expect(nearest('ab', [])).toBeUndefined()
  })
})
