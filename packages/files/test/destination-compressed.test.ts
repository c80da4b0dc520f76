import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { BaseConfig } from '@nebula/core'
import { csvFormat } from '@nebula/formats'
import { describe, expect, test } from 'vitest'
import { decompressedStream } from '../src/byte-stream.ts'
import type { Compressor } from '../src/index.ts'
import { createCompressor, FileDestination, FileSource, LocalStore } from '../src/index.ts'
import type { CrashPoint } from './crashing-store.ts'
import { CrashingStore } from './crashing-store.ts'
import { contentsOf, folderOf, readAll, temporaryFolder, testContext } from './harness.ts'
import type { Table } from './run-harness.ts'
import { batchOf, checkpointOf, completeRun, destinationIn, fileOf, runOf, writerOf } from './run-harness.ts'

const context = testContext()

function compressorOf(algorithm: 'gzip' | 'zstd', level?: number): Compressor {
  const { advanced } = BaseConfig.parse({ advanced: { compression: { algorithm, level } } })
  const compressor = createCompressor(advanced.compression)
  if (!compressor) throw new Error('no compressor')
  return compressor
}

/** The text of a compressed file, by the source's own unpacking, and where Node has one for all members, by that. */
async function textOf(path: string, algorithm: 'gzip' | 'zstd'): Promise<string> {
  const file = await new LocalStore().open(path)
  const stream = decompressedStream(file, algorithm, path)
  const parts: Buffer[] = []
  try {
    for (;;) {
      const buffer = Buffer.alloc(100_000)
      const bytes = await stream.read(buffer)
      if (bytes === 0) break
      parts.push(buffer.subarray(0, bytes))
    }
  } finally {
    await stream.close()
    await file.close()
  }
  const text = Buffer.concat(parts).toString()
  const whole = algorithm === 'gzip' ? gunzipSync(await readFile(path)).toString() : text
  expect(whole).toBe(text)
  return text
}

const forms = [
  { algorithm: 'gzip', extension: '.csv.gz' },
  { algorithm: 'zstd', extension: '.csv.zst' },
] as const

/** Three partitions, of which the first is more than one chunk. */
const table: Table = [Array.from({ length: 60_000 }, (_, i) => `some text of row ${i}`), ['x'], ['y', 'z']]

describe.each(forms)('$algorithm', ({ algorithm, extension }) => {
  const compressor = compressorOf(algorithm)

  test('makes a smaller file with the same content, which is read back', async () => {
    const folder = await temporaryFolder()
    await completeRun(destinationIn(folder, {}, compressor), { a: table })
    const path = join(folder, `a${extension}`)
    expect(await textOf(path, algorithm)).toBe(fileOf(table))
    expect((await readFile(path)).length).toBeLessThan(fileOf(table).length / 3)
    const { rows } = await readAll(new FileSource(new LocalStore(), csvFormat(), folder), 'a')
    expect(rows.map(([text]) => text)).toEqual(table.flat())
  })

  test('gives the same bytes however many partitions are written at once', async () => {
    const contents: Buffer[] = []
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
    ]) {
      const folder = await temporaryFolder()
      const destination = destinationIn(folder, {}, compressor)
      const run = runOf({ a: table })
      await destination.prepare(run, context)
      const writers = await Promise.all(order.map((i) => writerOf(destination, run, `a#${i}`)))
      const commits = order.map(async (i, place) => {
        const rows = table[i] ?? []
        const batch = batchOf(rows)
        await writers[place]?.write(batch, 0, rows.length)
        batch.release()
        await writers[place]?.commit(checkpointOf(`a#${i}`, rows.length))
      })
      await Promise.all(commits)
      await destination.finish(run, ['a'], context)
      contents.push(await readFile(join(folder, `a${extension}`)))
    }
    expect(contents[0]?.equals(contents[1] ?? Buffer.alloc(0))).toBe(true)
  })

  test('append adds a compressed file of its own', async () => {
    const folder = await folderOf({ 'a.csv': 'text\nold\n' })
    const destination = destinationIn(folder, {}, compressor)
    const run = runOf({ a: [['new']] }, {}, 'append')
    await destination.prepare(run, context)
    const writer = await writerOf(destination, run, 'a#0')
    const batch = batchOf(['new'])
    await writer.write(batch, 0, 1)
    await writer.commit(checkpointOf('a#0', 1))
    await destination.finish(run, ['a'], context)
    expect(await readFile(join(folder, 'a.csv'), 'utf8')).toBe('text\nold\n')
    expect(await textOf(join(folder, `a.r1${extension}`), algorithm)).toBe('text\nnew\n')
  })

  const streams = { a: [['1', '2', '3'], ['4']], b: [['5']] }

  /** Kills a run at a point, brings it to its end, and returns how many steps it had done. */
  async function crash(point: CrashPoint): Promise<number> {
    const folder = await temporaryFolder()
    const store = new CrashingStore(point)
    const dying = new FileDestination(store, csvFormat(), folder, compressor)
    await completeRun(dying, streams).catch(() => {})
    await dying.close()
    await store.settle()
    // Whatever readers find then is whole.
    for (const name of Object.keys(await contentsOf(folder))) await textOf(join(folder, name), algorithm)
    await completeRun(destinationIn(folder, {}, compressor), streams)
    const texts = await Promise.all(['a', 'b'].map((name) => textOf(join(folder, `${name}${extension}`), algorithm)))
    expect(texts).toEqual([fileOf(streams.a), fileOf(streams.b)])
    expect((await readdir(folder)).sort()).toEqual(['.nebula', `a${extension}`, `b${extension}`])
    expect(store.crashed).toBe(point.step < Infinity)
    return store.steps
  }

  test.each([
    { when: 'before', loses: false },
    { when: 'middle', loses: false },
    { when: 'behind', loses: true },
  ] as const)(
    'goes on after a kill $when any step (unsynced bytes lost: $loses)',
    async (how) => {
      const steps = await crash({ step: Infinity, ...how })
      expect(steps).toBeGreaterThan(20)
      await Promise.all(Array.from({ length: steps }, (_, i) => crash({ step: i + 1, ...how })))
    },
    60_000,
  )
})

describe('a target that stands', () => {
  const request = { stream: 'a', mode: 'overwrite', columns: ['text'], key: [] } as const

  test('is found compressed, with its columns and its owner', async () => {
    const folder = await folderOf({ 'theirs.csv.gz': gzipSync('id\n1\n'), 'header.csv.gz': gzipSync('id\n') })
    const destination = destinationIn(folder, {}, compressorOf('gzip'))
    await completeRun(destination, { ours: [['1']] })
    const [theirs, header, ours, nothing] = await destination.describe(['theirs', 'header', 'ours', 'no'], context)
    expect(theirs?.schema.fields.map(({ name }) => name)).toEqual(['id'])
    expect([theirs?.foreignRows, header?.foreignRows, ours?.foreignRows]).toEqual([true, false, false])
    expect(nothing).toBeUndefined()
  })

  test('in another form is in the way of overwrite, and not of append', async () => {
    const folder = await folderOf({ 'a.csv': 'text\n1\n' })
    const destination = destinationIn(folder, {}, compressorOf('zstd'))
    const [target] = await destination.describe(['a'], context)
    const { streams } = runOf({ a: [] })
    const schema = streams[0]?.schema ?? { fields: [] }
    expect(destination.accept(request, schema, [], target).problems).toEqual([
      {
        code: 'target_incompatible',
        message:
          'a.csv.zst would stand beside a.csv, as the same stream; remove that, or set advanced.compression as it was',
      },
    ])
    expect(destination.accept({ ...request, mode: 'append' }, schema, [], target).problems).toEqual([])
  })
})

describe('advanced.compression', () => {
  test('of an interrupted run may change: the stream begins again', async () => {
    const folder = await temporaryFolder()
    const streams = { a: [['1'], ['2']] }
    const dying = destinationIn(folder)
    const run = runOf(streams)
    await dying.prepare(run, context)
    const writer = await writerOf(dying, run, 'a#0')
    const batch = batchOf(['1'])
    await writer.write(batch, 0, 1)
    await writer.commit(checkpointOf('a#0', 1))
    await dying.close()
    const heir = destinationIn(folder, {}, compressorOf('gzip'))
    expect((await heir.recall('shop', context))?.checkpoints).toEqual([])
    await completeRun(heir, streams)
    expect(await textOf(join(folder, 'a.csv.gz'), 'gzip')).toBe(fileOf(streams.a))
    expect((await readdir(folder)).sort()).toEqual(['.nebula', 'a.csv.gz'])
  })

  test.each(['gzip', 'zstd'] as const)('level: a higher one makes smaller files with %s', async (algorithm) => {
    const words = 'lorem ipsum dolor sit amet consetetur sadipscing elitr'.split(' ')
    const text = Buffer.from(Array.from({ length: 50_000 }, (_, i) => words[((i * i * 7919) % 8191) & 7]).join(' '))
    const [fast, small] = await Promise.all([1, 9].map((level) => compressorOf(algorithm, level).pack(text)))
    expect(small?.length).toBeLessThan(fast?.length ?? 0)
  })

  test('a level that does not exist, or of no algorithm, is refused', () => {
    expect(() => compressorOf('gzip', 10)).toThrow('advanced.compression: level is 10; gzip has 1 to 9.')
    expect(() => createCompressor({ algorithm: 'none', level: 3 })).toThrow('level stands beside no algorithm')
    expect(createCompressor({ algorithm: 'none' })).toBeUndefined()
  })

  test('many members behind one another are read, damaged ones are not', async () => {
    const compressor = compressorOf('zstd')
    const members = await Promise.all(
      Array.from({ length: 300 }, (_, i) => compressor.pack(Buffer.from(`${i}\n`.repeat(i * 10)))),
    )
    const folder = await folderOf({ 'many.csv.zst': Buffer.concat(members) })
    const expected = Array.from({ length: 300 }, (_, i) => `${i}\n`.repeat(i * 10)).join('')
    expect(await textOf(join(folder, 'many.csv.zst'), 'zstd')).toBe(expected)
    await writeFile(join(folder, 'many.csv.zst'), Buffer.concat([...members, Buffer.from('rubbish')]))
    await expect(textOf(join(folder, 'many.csv.zst'), 'zstd')).rejects.toMatchObject({ code: 'data_invalid' })
  })
})
