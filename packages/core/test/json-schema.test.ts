import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { BaseConfig, duration, jsonSchemaOf, secret, size } from '../src/index.ts'

const schema = jsonSchemaOf(
  z.strictObject({
    batchSize: z.int().positive().default(5).describe('rows'),
    fast: z.boolean().optional(),
    wait: duration('30s').describe('how long'),
    room: size().optional().describe('how much; default: all'),
    password: secret().optional().describe('for the login'),
    level: z.enum(['low', 'high']).default('low'),
    names: z.record(z.string(), z.int()).optional(),
    cores: z.int().default(2).describe('default: the cores'),
  }),
)
const variable = { $ref: '#/$defs/variable' }

describe('jsonSchemaOf', () => {
  test('spells keys as files do, with defaults and descriptions', () => {
    expect(schema).toMatchObject({ type: 'object', additionalProperties: false })
    expect(schema.properties?.['batch_size']).toEqual({
      anyOf: [{ type: 'integer', exclusiveMinimum: 0 }, variable],
      description: 'rows',
      default: 5,
    })
  })

  test('leaves out a default that the description tells, for it is that of this machine', () => {
    expect(schema.properties?.['cores']).not.toHaveProperty('default')
  })

  test('lets a variable stand in place of numbers, booleans, choices and inside of records', () => {
    expect(schema.properties?.['fast']?.anyOf).toEqual([{ type: 'boolean' }, variable])
    expect(schema.properties?.['level']?.anyOf).toEqual([{ type: 'string', enum: ['low', 'high'] }, variable])
    expect(schema.properties?.['names']?.['additionalProperties']).toMatchObject({
      anyOf: [{ type: 'integer' }, variable],
    })
    expect(schema['$defs']).toHaveProperty('variable')
  })

  test('knows secrets', () => {
    expect(schema.properties?.['password']).toEqual({ type: 'string', writeOnly: true, description: 'for the login' })
  })

  test.each([
    ['wait', ['500ms', '1h30m', '1.5s', '12', ' 1s ', '${WAIT}'], ['soon', '1 h', '-1s', '']],
    ['room', ['64MB', '64MiB', '1.5 kb', '10b', '10', '${ROOM:-1GB}'], ['much', '1XB', '64 M B', '']],
  ])('%s has a pattern that takes what the parser takes', (key, good, bad) => {
    const [text, number] = schema.properties?.[key]?.anyOf ?? []
    const pattern = new RegExp(String(text?.['pattern']))
    expect(good.filter((value) => !pattern.test(value))).toEqual([])
    expect(bad.filter((value) => pattern.test(value))).toEqual([])
    expect(number).toEqual({ type: 'number', minimum: 0 })
  })

  test('has aliases beside the keys that they stand for', () => {
    const reliability = jsonSchemaOf(BaseConfig).properties?.['reliability']
    expect(reliability?.properties?.['retry_attempts']).toMatchObject({ description: 'the same as max_retries' })
    expect(reliability?.properties?.['circuit_breaker']?.anyOf).toContainEqual({ type: 'boolean' })
  })
})
