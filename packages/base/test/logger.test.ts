import { NebulaError, Secret } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { lineLogger, silentLogger } from '../src/index.ts'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

describe('lineLogger', () => {
  test.each([
    ['debug', ['debug', 'info', 'warn', 'error']],
    ['info', ['info', 'warn', 'error']],
    ['warn', ['warn', 'error']],
    ['error', ['error']],
  ] as const)('%s lets through %j', (level, expected) => {
    const lines: string[] = []
    const logger = lineLogger(level, (line) => lines.push(line))
    for (const name of LEVELS) logger[name](`a message of ${name}`)
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(expected)
  })

  test('writes one JSON line with time, level, message and fields', () => {
    const lines: string[] = []
    lineLogger('debug', (line) => lines.push(line)).warn('two\nlines', { stream: 'orders', rows: 3 })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^[^\n]*\n$/)
    const entry = JSON.parse(lines[0] ?? '') as { time: string }
    expect(entry).toEqual({ time: entry.time, level: 'warn', message: 'two\nlines', stream: 'orders', rows: 3 })
    expect(new Date(entry.time).toISOString()).toBe(entry.time)
  })

  test('prints what JSON cannot, and no secret', () => {
    const lines: string[] = []
    const cause = new Error('password=hunter2')
    lineLogger('debug', (line) => lines.push(line)).error('failed', {
      size: 9_007_199_254_740_993n,
      password: new Secret('hunter2'),
      system: new RangeError('out of range'),
      error: new NebulaError('timeout', { message: 'too slow', cause }),
    })
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      size: '9007199254740993',
      password: '***',
      system: { name: 'RangeError', message: 'out of range' },
      error: { code: 'timeout', message: 'too slow' },
    })
    expect(lines[0]).not.toContain('hunter2')
  })
})

test('hides what stands under the key of a secret, wherever it came from', () => {
  const lines: string[] = []
  lineLogger('debug', (line) => lines.push(line)).debug('connecting', {
    url: 'postgres://me:hunter2@localhost/shop',
    config: { password: 'hunter2', security: { key: 'hunter2' }, host: 'localhost' },
    login: { pin: new Secret('hunter2'), more: { pins: [new Secret('hunter2')] } },
  })
  expect(lines[0]).not.toContain('hunter2')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    url: '***',
    config: { password: '***', security: { key: '***' }, host: 'localhost' },
    login: { pin: '***', more: { pins: ['***'] } },
  })
})

test('silentLogger keeps nothing', () => {
  for (const name of LEVELS) expect(silentLogger[name]('message', { field: 1 })).toBeUndefined()
})
