import { BaseConfig } from '@nebula/core'
import { memoryConnector, memorySource } from '@nebula/testkit'
import { describe, expect, test, vi } from 'vitest'
import { defineConnector, register, registered, registeredConnectors } from '../src/index.ts'

const source = (): ReturnType<typeof memorySource> => memorySource({ streams: [] })

describe('register', () => {
  test('makes a connector known by its name', () => {
    const connector = memoryConnector('registry-a', { source })
    register(connector)
    expect(registered('registry-a')).toBe(connector)
    expect(registered('registry-none')).toBeUndefined()
  })

  test('the same version twice is one connector', () => {
    register(memoryConnector('registry-b', { source }))
    expect(() => register(memoryConnector('registry-b', { source }))).not.toThrow()
    expect(registeredConnectors().filter(({ name }) => name === 'registry-b')).toHaveLength(1)
  })

  test('another version is refused, and both are named', () => {
    const first = memoryConnector('registry-c', { source })
    register(first)
    expect(() => register({ ...first, version: '2.0.0' })).toThrow(
      expect.objectContaining({
        code: 'connector_invalid',
        message: 'Connector registry-c is installed twice: 1.0.0 and 2.0.0.',
      }),
    )
    expect(registered('registry-c')).toBe(first)
  })

  test('lists connectors by name', () => {
    register(memoryConnector('registry-z', { source }))
    register(memoryConnector('registry-y', { source }))
    const names = registeredConnectors().map(({ name }) => name)
    expect(names).toEqual([...names].sort())
    expect(names).toEqual(expect.arrayContaining(['registry-y', 'registry-z']))
  })

  test('two copies of this package share one registry', async () => {
    const connector = memoryConnector('registry-shared', { source })
    register(connector)
    vi.resetModules()
    const copy = await import('../src/registry.ts')
    expect(copy.register).not.toBe(register)
    expect(copy.registered('registry-shared')).toBe(connector)
    expect(() => copy.register({ ...connector, version: '2.0.0' })).toThrow(/installed twice/)
  })
})

describe('defineConnector', () => {
  const good = { contract: 1, name: 'good-1', version: '1.0.0', config: BaseConfig, source } as const

  test('gives the connector back', () => {
    expect(defineConnector(good)).toBe(good)
  })

  test('names everything that is wrong at once', () => {
    const bad = { contract: 2 as unknown as 1, name: 'Not A Name', version: '1.0.0', config: BaseConfig }
    expect(() => defineConnector(bad)).toThrow(
      expect.objectContaining({
        code: 'connector_invalid',
        message:
          'Connector Not A Name: it is written for contract 2, this is 1; "Not A Name" is no connector name (a-z, 0-9, -); ' +
          'it has neither a source nor a destination.',
      }),
    )
  })

  test.each(['1st', 'UPPER', 'a b', 'a_b', ''])('"%s" is no name', (name) => {
    expect(() => defineConnector({ ...good, name })).toThrow(expect.objectContaining({ code: 'connector_invalid' }))
  })
})
