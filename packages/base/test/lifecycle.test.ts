import type { Lifecycle } from '@nebula/core'
import { BaseConfig } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { createContext, Managed } from '../src/index.ts'

const context = createContext({ signal: new AbortController().signal, config: BaseConfig.parse({}) })

/** A driver that counts, and fails where told to. */
class Counting implements Lifecycle {
  opened = 0
  closed = 0
  readonly #failing: 'open' | 'close' | 'both' | undefined

  constructor(failing?: 'open' | 'close' | 'both') {
    this.#failing = failing
  }

  async open(): Promise<void> {
    this.opened++
    if (this.#failing === 'open' || this.#failing === 'both') throw new Error('cannot open')
  }

  async close(): Promise<void> {
    this.closed++
    if (this.#failing === 'close' || this.#failing === 'both') throw new Error('cannot close')
  }
}

describe('Managed', () => {
  test('opens the driver once and gives it', async () => {
    const driver = new Counting()
    const managed = new Managed('things', driver)
    expect(await managed.open(context)).toBe(driver)
    expect(managed.driver).toBe(driver)
    await expect(managed.open(context)).rejects.toMatchObject({ code: 'lifecycle', connector: 'things' })
    expect(driver.opened).toBe(1)
  })

  test('throws before it was opened and after it was closed', async () => {
    const managed = new Managed('things', new Counting())
    expect(() => managed.driver).toThrow(
      expect.objectContaining({ code: 'lifecycle', message: expect.stringMatching('before it was opened') }),
    )
    await managed.open(context)
    await managed.close()
    expect(() => managed.driver).toThrow(
      expect.objectContaining({ code: 'lifecycle', message: expect.stringMatching('after it was closed') }),
    )
    await expect(managed.open(context)).rejects.toMatchObject({ code: 'lifecycle' })
  })

  test('closes the driver once, however often it is asked', async () => {
    const driver = new Counting()
    const managed = new Managed('things', driver)
    await managed.open(context)
    await Promise.all([managed.close(), managed.close()])
    await managed.close()
    expect(driver.closed).toBe(1)
  })

  test('closes a driver that could not be opened, and says why it could not', async () => {
    const driver = new Counting('open')
    const managed = new Managed('things', driver)
    await expect(managed.open(context)).rejects.toThrow('cannot open')
    expect(driver.closed).toBe(1)
    await managed.close()
    expect(driver.closed).toBe(1)
    expect(() => managed.driver).toThrow(/after it was closed/)
  })

  test('a driver that can neither be opened nor closed tells the first', async () => {
    await expect(new Managed('things', new Counting('both')).open(context)).rejects.toThrow('cannot open')
  })

  test('passes on that closing failed', async () => {
    const managed = new Managed('things', new Counting('close'))
    await managed.open(context)
    await expect(managed.close()).rejects.toThrow('cannot close')
  })

  test('a driver that is closed while it opens is not given out', async () => {
    const driver: Lifecycle = {}
    const gate = Promise.withResolvers<void>()
    driver.open = () => gate.promise
    const managed = new Managed('things', driver)
    const opening = managed.open(context)
    await managed.close()
    gate.resolve()
    await expect(opening).rejects.toMatchObject({ code: 'lifecycle' })
  })

  test('a driver without open and close has a life too', async () => {
    const managed = new Managed('things', {})
    await managed.open(context)
    await managed.close()
    expect(() => managed.driver).toThrow(/after it was closed/)
  })

  test('closes at the end of its scope', async () => {
    const driver = new Counting()
    const managed = new Managed('things', driver)
    await managed.open(context)
    await managed[Symbol.asyncDispose]()
    expect(driver.closed).toBe(1)
  })
})
