import { join } from 'node:path'
import { BaseConfig } from '@nebula/core'
import { memoryConnector, memorySource } from '@nebula/testkit'
import { beforeAll, describe, expect, test } from 'vitest'
import { locate, oneLinePipeline, register, registered } from '../src/index.ts'

const source = (): ReturnType<typeof memorySource> => memorySource({ streams: [] })
const text = BaseConfig.shape.name
const config = BaseConfig.extend({ path: text, url: text })

beforeAll(() => {
  const byPath = { fromLocator: (path: string) => ({ path }) }
  const byUrl = { fromLocator: (url: string) => ({ url }) }
  if (!registered('csv')) register({ ...memoryConnector('csv', { source }), ...byPath, config } as never)
  register({ ...memoryConnector('things', { source }), ...byPath, config } as never)
  if (!registered('postgres')) register({ ...memoryConnector('postgres', { source }), ...byUrl, config } as never)
  register(memoryConnector('nolocator', { source }))
})

const folder = '/work/project'

describe('locate', () => {
  test.each([
    ['things:./in', 'things', { path: '/work/project/in' }],
    ['things:/in/*.csv', 'things', { path: '/in/*.csv' }],
    ['csv:./in', 'csv', { path: '/work/project/in' }],
    ['orders.csv', 'csv', { path: '/work/project/orders.csv' }],
    ['./in/ORDERS.CSV', 'csv', { path: '/work/project/in/ORDERS.CSV' }],
    ['postgres://me@host/shop', 'postgres', { url: 'postgres://me@host/shop' }],
    ['postgresql://me@host/shop', 'postgres', { url: 'postgresql://me@host/shop' }],
    ['POSTGRES://me@host/shop', 'postgres', { url: 'POSTGRES://me@host/shop' }],
  ])('%s is for %s', async (locator, name, expected) => {
    const endpoint = await locate(locator, { folder, environment: {} })
    expect(endpoint.connector.name).toBe(name)
    expect(endpoint.config).toMatchObject(expected)
  })

  test('replaces variables itself', async () => {
    const endpoint = await locate('${URL}', { folder, environment: { URL: 'postgres://me:secret@host/shop' } })
    expect(endpoint.connector.name).toBe('postgres')
    await expect(locate('${URL}', { folder, environment: {} })).rejects.toMatchObject({
      code: 'variable_missing',
      place: 'the command line',
    })
  })

  test('what says no connector is shown as it was typed, without what a variable holds', async () => {
    await expect(locate('./in/${NAME}.parq', { folder, environment: { NAME: 'secret' } })).rejects.toMatchObject({
      code: 'usage',
      message: '"./in/${NAME}.parq" does not say which connector to use.',
      fix: expect.stringContaining('CONNECTOR:PATH'),
    })
  })

  test('a connector that takes no locator asks for a file', async () => {
    await expect(locate('nolocator:x', { folder, environment: {} })).rejects.toMatchObject({
      code: 'unsupported',
      message: 'The connector nolocator cannot be given in one line.',
      fix: 'Write a pipeline file.',
    })
  })

  test('a connector that is not installed is named', async () => {
    await expect(locate('oracle:x', { folder, environment: {} })).rejects.toMatchObject({ code: 'connector_not_found' })
  })
})

describe('oneLinePipeline', () => {
  const line = {
    from: 'things:./in',
    to: 'postgres://me:${PASSWORD}@host/shop',
    folder,
    environment: { PASSWORD: 'x' },
  }

  test('is the pipeline that the line stands for', async () => {
    const pipeline = await oneLinePipeline({ ...line, streams: ['a', 'b.*'], defaults: { mode: 'append', limit: 3 } })
    expect(pipeline).toMatchObject({
      stateFolder: join(folder, '.nebula'),
      defaults: { mode: 'append', limit: 3 },
      streams: { a: {}, 'b.*': {} },
    })
    expect(pipeline.name).toMatch(/^things-to-postgres-[0-9a-f]{8}$/)
    expect(pipeline.source.connector.name).toBe('things')
    expect(pipeline.destination.connector.name).toBe('postgres')
  })

  test('the same line has the same name, whatever its variables hold; another line another one', async () => {
    const { name } = await oneLinePipeline(line)
    expect((await oneLinePipeline({ ...line, environment: { PASSWORD: 'y' } })).name).toBe(name)
    expect((await oneLinePipeline({ ...line, from: 'things:./other' })).name).not.toBe(name)
    expect((await oneLinePipeline({ ...line, streams: ['a'] })).name).not.toBe(name)
    expect((await oneLinePipeline({ ...line, defaults: { limit: 1 } })).name).not.toBe(name)
  })

  test('keeps its state where the caller says', async () => {
    expect((await oneLinePipeline({ ...line, stateFolder: '/state' })).stateFolder).toBe('/state')
  })
})
