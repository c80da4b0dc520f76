import { createContext } from '@nebula/base'
import type { ReadTask, RecordBatch, SourceDriver } from '@nebula/core'
import { BaseConfig, createBatch, NebulaError } from '@nebula/core'
import { expect, test } from 'vitest'
import type { End, Visitor } from '../src/read-all.ts'
import { readAll } from '../src/read-all.ts'

const SCHEMA = { fields: [] }
const STREAM = {
  request: { stream: 's', mode: 'overwrite' as const, columns: [], key: [] },
  schema: SCHEMA,
  decode: [],
}

interface Watched {
  made: number
  released: number
  /** In the order in which they began. */
  readonly partitions: string[]
}

/** Partitions of two batches each; `failing` throws behind its first. */
function endOf(names: readonly string[], parallel: number, failing?: string): { end: End; watched: Watched } {
  const watched: Watched = { made: 0, released: 0, partitions: [] }
  const batch = (): RecordBatch => {
    watched.made++
    const onRelease = (): void => {
      watched.released++
    }
    return createBatch({ stream: 's', schema: SCHEMA, rows: 1, columns: [], onRelease })
  }
  const driver: SourceDriver = {
    discover: () => Promise.resolve({ streams: [] }),
    async *read({ partition }: ReadTask) {
      watched.partitions.push(partition.id)
      yield batch()
      if (partition.id === failing) throw new NebulaError('query_failed', { message: `${failing} cannot be read.` })
      yield batch()
    },
  }
  const config = BaseConfig.parse({})
  const context = createContext({ signal: new AbortController().signal, config })
  const partitions = [...names, 'other'].map((id) => ({ id, stream: id === 'other' ? 'other' : 's', range: null }))
  return { end: { driver, context, config, plan: { partitions, restart: [] }, parallel }, watched }
}

/** Counts rows, and workers that were not freed. */
function counting(): { visitor: () => Visitor; rows: number; alive: number } {
  const counts = { rows: 0, alive: 0 }
  const visitor = (): Visitor => {
    counts.alive++
    return {
      visit(batch) {
        counts.rows += batch.rows
      },
      free() {
        counts.alive--
      },
    }
  }
  return Object.assign(counts, { visitor })
}

test('reads every partition of the stream once, however many at once', async () => {
  for (const parallel of [1, 2, 9]) {
    const { end, watched } = endOf(['a', 'b', 'c'], parallel)
    const counts = counting()
    await readAll(end, STREAM, counts.visitor)
    expect(counts).toMatchObject({ rows: 6, alive: 0 })
    expect(watched).toEqual({ made: 6, released: 6, partitions: ['a', 'b', 'c'] })
  }
})

test('the first failure ends all, and is what is thrown', async () => {
  const { end, watched } = endOf(['a', 'b', 'c', 'd', 'e'], 2, 'a')
  const counts = counting()
  await expect(readAll(end, STREAM, counts.visitor)).rejects.toMatchObject({ message: 'a cannot be read.' })
  expect(counts.alive).toBe(0)
  expect(watched.released).toBe(watched.made)
  expect(watched.partitions).not.toContain('e')
})

test('a visit that fails releases its batch', async () => {
  const { end, watched } = endOf(['a'], 1)
  const visitor = (): Visitor => ({
    visit() {
      throw new NebulaError('internal', { message: 'no' })
    },
    free() {},
  })
  await expect(readAll(end, STREAM, visitor)).rejects.toMatchObject({ message: 'no' })
  expect(watched).toMatchObject({ made: 1, released: 1 })
})
