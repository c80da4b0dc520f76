import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BaseConfig, duration, parseDuration, parseSize, Secret, secret, size } from '../src/index.ts'

/** Paths and messages of what is wrong with a value. */
function problems(schema: z.ZodType, value: unknown): [string, string][] {
  const result = schema.safeParse(value)
  return result.success ? [] : result.error.issues.map((issue) => [issue.path.join('.'), issue.message])
}

describe('BaseConfig', () => {
  test('needs nothing, and has every default', () => {
    const config = BaseConfig.parse({})
    expect(config.performance).toMatchObject({ batchSize: 10_000, batchBytes: 8_000_000 })
    expect(config.timeouts).toMatchObject({ connection: 10_000, request: 30_000 })
    expect(config.reliability.maxErrors).toBe(0)
    expect(config.security.tls).toMatchObject({ mode: 'prefer' })
    expect(config.observability.logLevel).toBe('warn')
    expect(config.memory.bufferPoolBytes).toBe(32_000_000)
    expect(config.advanced.partitionBytes).toBeUndefined()
  })

  test('a given value replaces its default alone', () => {
    const config = BaseConfig.parse({ timeouts: { request: '1h30m' }, memory: { bufferPoolBytes: '1GiB' } })
    expect(config.timeouts).toMatchObject({ connection: 10_000, request: 5_400_000 })
    expect(config.memory.bufferPoolBytes).toBe(2 ** 30)
  })

  test.for([
    [{ perfomance: {} }, ''],
    [{ performance: { batch: 1 } }, 'performance'],
    [{ security: { tls: { modes: 'require' } } }, 'security.tls'],
  ] as const)('an unknown key is an error: %j', ([value, path]) => {
    expect(problems(BaseConfig, value)).toEqual([[path, expect.stringContaining('Unrecognized key')]])
  })

  test.for([
    [{ performance: { batchSize: 0 } }, 'performance.batchSize'],
    [{ performance: { batchSize: 1.5 } }, 'performance.batchSize'],
    [{ reliability: { maxErrors: -1 } }, 'reliability.maxErrors'],
    [{ timeouts: { request: 'soon' } }, 'timeouts.request'],
    [{ memory: { bufferPoolBytes: 'much' } }, 'memory.bufferPoolBytes'],
    [{ security: { tls: { mode: 'on' } } }, 'security.tls.mode'],
    [{ observability: { logLevel: 'loud' } }, 'observability.logLevel'],
    [{ advanced: { partitionBytes: 'much' } }, 'advanced.partitionBytes'],
  ] as const)('a value that is not allowed is an error: %j', ([value, path]) => {
    expect(problems(BaseConfig, value).map(([where]) => where)).toEqual([path])
  })

  test('every key is described, for the help and the schema', () => {
    const schema = z.toJSONSchema(BaseConfig, { io: 'input', unrepresentable: 'any' })
    const undescribed: string[] = []
    const walk = (node: { [key: string]: unknown }, path: string): void => {
      const properties = (node['properties'] ?? {}) as { [key: string]: { [key: string]: unknown } }
      for (const [key, child] of Object.entries(properties)) {
        if (child['properties']) walk(child, `${path}${key}.`)
        else if (typeof child['description'] !== 'string') undescribed.push(path + key)
      }
    }
    walk(schema, '')
    expect(undescribed).toEqual([])
  })
})

describe('duration', () => {
  test.for([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['2d', 172_800_000],
    ['250', 250],
    [' 1s ', 1000],
    ['0', 0],
  ] as const)('%s', ([text, ms]) => {
    expect(parseDuration(text)).toBe(ms)
    expect(duration().parse(text)).toBe(ms)
  })

  test('a number is milliseconds', () => expect(duration().parse(1500)).toBe(1500))

  test.for(['', 's', '1x', '1 h', '-1s', '1h-30m', '1e3', 'soon', '1,5s'])('not "%s"', (text) => {
    expect(parseDuration(text)).toBeUndefined()
    expect(problems(duration(), text)).toEqual([['', 'not a duration; write it like 500ms, 30s or 1h30m']])
  })

  test('has a default where one is given', () => {
    expect(duration('2s').parse(undefined)).toBe(2000)
    expect(problems(duration(), undefined)).toHaveLength(1)
    expect(problems(duration('2s'), -1)).toHaveLength(1)
  })
})

describe('size', () => {
  test.for([
    ['1048576', 1_048_576],
    ['64MB', 64_000_000],
    ['64MiB', 67_108_864],
    ['1.5 kb', 1500],
    ['2GiB', 2 ** 31],
    ['1TB', 1e12],
    ['10b', 10],
    ['10', 10],
  ] as const)('%s', ([text, bytes]) => {
    expect(parseSize(text)).toBe(bytes)
    expect(size().parse(text)).toBe(bytes)
  })

  test.for(['', 'MB', '1XB', '-1', '1e6', '1,5MB', '64 M B'])('not "%s"', (text) => {
    expect(parseSize(text)).toBeUndefined()
    expect(problems(size(), text)).toEqual([['', 'not a size; write it like 64MB or 64MiB']])
  })
})

describe('secret', () => {
  const schema = z.strictObject({ password: secret() })

  test('prints as *** everywhere, and only reveal gives it', () => {
    const config = schema.parse({ password: 'hunter2' })
    expect(config.password).toBeInstanceOf(Secret)
    expect(config.password.reveal()).toBe('hunter2')
    const prints = [String(config.password), JSON.stringify(config), inspect(config, { depth: 9, showHidden: true })]
    for (const text of prints) {
      expect(text).toContain('***')
      expect(text).not.toContain('hunter2')
    }
    expect(JSON.stringify(Object.entries(config.password))).not.toContain('hunter2')
  })

  test('one that is one already stays', () => {
    const own = new Secret('x')
    expect(schema.parse({ password: own }).password).toBe(own)
  })

  test('does not stand in the error about it', () => {
    const result = schema.safeParse({ password: 123456 })
    expect(JSON.stringify(result.error?.issues)).not.toContain('123456')
  })
})
