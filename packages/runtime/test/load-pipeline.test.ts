import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BaseConfig, Secret } from '@nebula/core'
import { utf8 } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { loadEndpoint, loadPipeline } from '../src/index.ts'
import { typed, useFolder } from './harness.ts'
import { ENDS, loadText, registerFiles } from './pipeline-files.ts'

registerFiles()
const folder = useFolder()
const load = (text: string, environment?: Record<string, string>): ReturnType<typeof loadText> =>
  loadText(folder(), text, environment)

describe('a pipeline file', () => {
  test('has defaults for all but its two ends', async () => {
    const pipeline = await load(ENDS)
    expect(pipeline).toMatchObject({
      name: 'shop',
      stateFolder: join(folder(), '.nebula'),
      onStreamError: 'continue',
      defaults: {},
      streams: {},
    })
    expect(pipeline.source.connector.name).toBe('files')
    expect(pipeline.source.config.performance.batchSize).toBe(10_000)
  })

  test('says everything else', async () => {
    const pipeline = await load(`
name: nightly
source:
  connector: files
  path: ./in
  table_name: users
  performance: { batch_size: 500, batch_bytes: 1MB }
  timeouts: { request: 1m30s }
destination: { connector: files, path: /out, password: hunter2 }
parallel: 3
on_stream_error: stop
defaults: { mode: append, max_errors: 7 }
streams:
  public.orders:
  "audit.*": { key: [id], rename: { ts: at }, mask: { email: sha256 }, exclude: [password] }
  audit.secrets: false
  prices: { path: ./prices-*.csv, types: { id: int64, price: "decimal(10,2)" }, cast: { note: text }, limit: 10 }
  lines: { columns: [a, b], target: rows, allow_loss: [a] }
`)
    expect(pipeline).toMatchObject({
      name: 'nightly',
      parallel: 3,
      onStreamError: 'stop',
      defaults: { mode: 'append', maxErrors: 7 },
    })
    expect(pipeline.streams).toEqual({
      'public.orders': {},
      'audit.*': { key: ['id'], rename: { ts: 'at' }, mask: { email: 'sha256' }, exclude: ['password'] },
      'audit.secrets': false,
      prices: {
        path: join(folder(), 'prices-*.csv'),
        types: { id: typed('int64'), price: typed('decimal(10,2)') },
        cast: { note: utf8 },
        limit: 10,
      },
      lines: { columns: ['a', 'b'], target: 'rows', allowLoss: ['a'] },
    })
    const own = pipeline.source.config as BaseConfig & { path: string; tableName: string }
    expect(own).toMatchObject({ path: join(folder(), 'in'), tableName: 'users' })
    expect(own.performance).toMatchObject({ batchSize: 500, batchBytes: 1_000_000 })
    expect(own.timeouts.request).toBe(90_000)
    const target = pipeline.destination.config as BaseConfig & { path: string; password: Secret }
    expect(target.path).toBe('/out')
    expect(target.password.reveal()).toBe('hunter2')
    expect(JSON.stringify(pipeline.destination.config)).not.toContain('hunter2')
  })

  test('takes camelCase as well as snake_case, and leaves the names of users alone', async () => {
    const pipeline = await load(`
source: { connector: files, tableName: users, performance: { batchSize: 5 } }
destination: { connector: files }
onStreamError: stop
defaults: { maxErrors: 1 }
streams: { my_stream: { allowLoss: [my_column], rename: { old_name: new_name } }, myStream: { max_errors: 2 } }
`)
    expect(pipeline).toMatchObject({ onStreamError: 'stop', defaults: { maxErrors: 1 } })
    expect(pipeline.streams).toEqual({
      my_stream: { allowLoss: ['my_column'], rename: { old_name: 'new_name' } },
      myStream: { maxErrors: 2 },
    })
    expect(pipeline.source.config).toMatchObject({ tableName: 'users', performance: { batchSize: 5 } })
  })

  test('keeps its state where the caller says', async () => {
    await writeFile(join(folder(), 'other.yml'), ENDS)
    const pipeline = await loadPipeline(join(folder(), 'other.yml'), { stateFolder: '/state' })
    expect(pipeline).toMatchObject({ name: 'other', stateFolder: '/state' })
  })

  test('variables are texts, numbers and booleans as the key wants them, and never keys of YAML', async () => {
    const text = `
source: { connector: files, table_name: "\${TABLE}", password: "\${DIGITS}", port: "\${PORT}", fast: "\${FAST}" }
destination: { connector: files, performance: { batch_size: "\${SIZE:-77}" } }
parallel: \${PARALLEL}
streams: { orders: { limit: "\${LIMIT}" } }
`
    const environment = { TABLE: 'a: b # c', DIGITS: '0123', PORT: '5432', FAST: 'true', PARALLEL: '2', LIMIT: '9' }
    const pipeline = await load(text, environment)
    const own = pipeline.source.config as BaseConfig & {
      tableName: string
      password: Secret
      port: number
      fast: boolean
    }
    expect(own).toMatchObject({ tableName: 'a: b # c', port: 5432, fast: true })
    expect(own.password.reveal()).toBe('0123')
    expect(pipeline.destination.config.performance.batchSize).toBe(77)
    expect(pipeline).toMatchObject({ parallel: 2, streams: { orders: { limit: 9 } } })
  })
})

describe('loadEndpoint', () => {
  test('checks the part of a program, whose keys need no place', async () => {
    await mkdir(join(folder(), 'in'))
    const endpoint = await loadEndpoint({ connector: 'files', path: 'in', table_name: 'a' }, folder())
    expect(endpoint.config).toMatchObject({ path: join(folder(), 'in'), tableName: 'a' })
    await expect(loadEndpoint({ connector: 'files', tabel_name: 'a' }, folder())).rejects.toMatchObject({
      code: 'config_unknown_key',
      message: 'unknown key tabel_name; did you mean table_name?',
      place: undefined,
    })
  })
})
