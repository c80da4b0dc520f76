import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Connector, DestinationDriver } from '@nebula/core'
import { BaseConfig, NebulaError } from '@nebula/core'
import type { Pipeline } from '@nebula/runtime'
import { runPipeline } from '@nebula/runtime'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FileDestination, FileSource, LocalStore } from '../../files/src/index.ts'
import { csvFormat } from '../../formats/src/index.ts'
import { letterFiles, replayLetters } from '../src/index.ts'

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'nebula-operations-'))
})
afterEach(async () => {
  await rm(root, { recursive: true, force: true })
})

const STEPS = ['recall', 'describe', 'prepare', 'writer', 'finish', 'discard', 'end'] as const

/** Before and behind which step of the destination the process dies; nothing works from there on. */
class Death {
  reached = 0
  readonly #at: number

  constructor(at = Infinity) {
    this.#at = at
  }

  step(): void {
    if (this.reached++ >= this.#at) throw new NebulaError('connection_lost', { message: 'The process was killed.' })
  }
}

function dying(driver: DestinationDriver, death: Death): DestinationDriver {
  const steps = STEPS.map((name) => {
    const step = driver[name]?.bind(driver) as ((...args: unknown[]) => Promise<unknown>) | undefined
    const hit = async (...args: unknown[]): Promise<unknown> => {
      death.step()
      const result = await step?.(...args)
      death.step()
      return result
    }
    return [name, hit]
  })
  return {
    accept: driver.accept?.bind(driver),
    close: driver.close?.bind(driver),
    ...Object.fromEntries(steps),
  } as DestinationDriver
}

/** A process that died tries nothing again. */
const config = BaseConfig.parse({ reliability: { maxRetries: 0 } })

function pipelineOf(folder: string, death = new Death(), columns: Pipeline['streams'] = {}): Pipeline {
  const shared = { contract: 1, version: '1.0.0', config: BaseConfig } as const
  const store = new LocalStore()
  const source: Connector = {
    ...shared,
    name: 'in',
    source: () => new FileSource(store, csvFormat({}), join(folder, 'in')),
  }
  const destination: Connector = {
    ...shared,
    name: 'out',
    destination: () => dying(new FileDestination(store, csvFormat({}), join(folder, 'out')), death),
  }
  const types = { id: { kind: 'int64' }, n: { kind: 'int32' } } as const
  return {
    name: 'shop',
    stateFolder: join(folder, '.nebula'),
    source: { connector: source, config },
    destination: { connector: destination, config },
    parallel: 1,
    defaults: { types, maxErrors: 100 },
    streams: columns,
  }
}

/** A run of two streams, each with three rows that cannot be read, two of which were mended since in the letters. */
async function scene(folder: string): Promise<void> {
  await mkdir(join(folder, 'in'), { recursive: true })
  for (const name of ['a', 'b'])
    await writeFile(join(folder, 'in', `${name}.csv`), 'id,n\n1,1\n2,x2\n3,3\n4,x4\n5,y5\n')
  const report = await runPipeline(pipelineOf(folder))
  expect(report).toMatchObject({ exitCode: 5, rows: 10 })
  for (const { path } of await letterFiles(pipelineOf(folder)))
    await writeFile(path, (await readFile(path, 'utf8')).replaceAll(/,x(\d)"/g, ',$1"'))
}

/** Every id of a stream's files, sorted. */
async function idsOf(folder: string, stream: string): Promise<string[]> {
  const names = (await readdir(join(folder, 'out'))).filter((name) => name.startsWith(`${stream}.`))
  const texts = await Promise.all(names.map((name) => readFile(join(folder, 'out', name), 'utf8')))
  return texts.flatMap((text) => text.trimEnd().split('\n').slice(1)).sort()
}

const letters = async (folder: string): Promise<string[]> =>
  (await letterFiles(pipelineOf(folder)))
    .flatMap((file) => file.letters.map(({ stream, raw }) => `${stream} ${raw}`))
    .sort()

describe('replay', () => {
  test('brings what was mended, keeps what was not, and leaves nothing else behind', async () => {
    await scene(root)
    const replayed = await replayLetters(pipelineOf(root))
    expect(replayed).toMatchObject({ sent: 6, arrived: 4, held: [], others: 0, arrivedBefore: 0 })
    expect(replayed.failed.map(({ stream, reason }) => [stream, reason])).toEqual([
      ['a', '"n" is not a valid int32'],
      ['b', '"n" is not a valid int32'],
    ])
    expect(await idsOf(root, 'a')).toEqual(['1,1', '2,2', '3,3', '4,4'])
    expect(await letters(root)).toEqual(['a 5,y5', 'b 5,y5'])
    expect((await readdir(join(root, '.nebula'))).sort()).toEqual([
      'shop.dead-letters',
      'shop.progress.json',
      'shop.report.json',
      'shop.schemas.json',
    ])
    expect((await readdir(join(root, 'out', '.nebula'))).filter((name) => name.endsWith('.run'))).toEqual([])
  })

  test('of one stream leaves the others alone', async () => {
    await scene(root)
    expect(await replayLetters(pipelineOf(root), { stream: 'b' })).toMatchObject({ sent: 3, arrived: 2 })
    expect(await letters(root)).toEqual(['a 2,2', 'a 4,4', 'a 5,y5', 'b 5,y5'])
    expect(await idsOf(root, 'a')).toEqual(['1,1', '3,3'])
  })

  test('killed before or behind any step of the destination, and run again: each row is there once', async () => {
    for (let at = 0, done = false; !done; at++) {
      const folder = join(root, String(at))
      await scene(folder)
      const death = new Death(at)
      await replayLetters(pipelineOf(folder, death)).catch(() => {})
      done = death.reached <= at
      const again = await replayLetters(pipelineOf(folder))
      expect(again.interruption).toBeUndefined()
      for (const stream of ['a', 'b'])
        expect([at, await idsOf(folder, stream)]).toEqual([at, ['1,1', '2,2', '3,3', '4,4']])
      expect(await letters(folder)).toEqual(['a 5,y5', 'b 5,y5'])
    }
  }, 240_000)

  test('what was mended between a kill and the next attempt counts, where it had not arrived', async () => {
    await scene(root)
    const isSent = async (): Promise<boolean> =>
      (await readdir(join(root, '.nebula'))).some((name) => name.endsWith('.shipment.json'))
    for (let at = 0; !(await isSent()); at++) await replayLetters(pipelineOf(root, new Death(at))).catch(() => {})
    for (const { path } of await letterFiles(pipelineOf(root)))
      await writeFile(path, (await readFile(path, 'utf8')).replaceAll(',y5"', ',5"'))
    expect(await replayLetters(pipelineOf(root))).toMatchObject({ sent: 6, arrived: 6, failed: [] })
    expect(await idsOf(root, 'b')).toEqual(['1,1', '2,2', '3,3', '4,4', '5,5'])
  }, 240_000)

  test('a masked stream keeps no text; its rows are read from the file, once that is mended', async () => {
    await mkdir(join(root, 'in'), { recursive: true })
    await writeFile(join(root, 'in', 'a.csv'), 'id,n,who\n1,1,Ann\n2,x2,Bob\n')
    const masked = pipelineOf(root, new Death(), { a: { mask: { who: 'sha256' } } })
    await runPipeline(masked)
    expect((await letterFiles(masked))[0]?.letters[0]).not.toHaveProperty('raw')
    const held = await replayLetters(masked)
    expect(held.held[0]?.reason).toContain('use --reread')
    await writeFile(join(root, 'in', 'a.csv'), 'id,n,who\n1,1,Ann\n2,2,Bob\n')
    expect(await replayLetters(masked, { reread: true })).toMatchObject({ sent: 1, arrived: 1 })
    expect((await idsOf(root, 'a'))[1]).toMatch(/^2,2,[0-9a-f]{64}$/)
  })

  test('a line that is no dead letter is named, and nothing is sent', async () => {
    await scene(root)
    const [file] = await letterFiles(pipelineOf(root))
    await writeFile(file?.path ?? '', `${await readFile(file?.path ?? '', 'utf8')}{"id": 1\n`)
    await expect(replayLetters(pipelineOf(root))).rejects.toMatchObject({
      code: 'data_invalid',
      place: `${file?.path}:4`,
    })
    expect(await idsOf(root, 'a')).toEqual(['1,1', '3,3'])
  })
})
