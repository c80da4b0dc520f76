import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { NebulaError } from '@nebula/core'
import type { MemoryDestination, MemoryStream, Row } from '@nebula/testkit'
import { Faults, Ledger, MemoryTarget } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import type { Report } from '../src/index.ts'
import { runPipeline } from '../src/index.ts'
import type { Scene } from './harness.ts'
import { field, numbered, pipelineOf, useFolder } from './harness.ts'

const folder = useFolder()

interface Letter {
  readonly stream: string
  readonly place: string
  readonly code: string
  readonly reason: string
  readonly column?: string
  readonly values?: { readonly [name: string]: unknown }
  readonly raw?: string
  readonly raw_base64?: string
}

/** Every dead letter of the state folder, by file. */
async function lettersByFile(): Promise<Map<string, Letter[]>> {
  const root = join(folder(), '.nebula')
  const files = (await readdir(root, { recursive: true })).filter((name) => name.endsWith('.jsonl')).sort()
  const entries = files.map(async (name): Promise<[string, Letter[]]> => {
    const lines = (await readFile(join(root, name), 'utf8')).trimEnd().split('\n')
    return [name, lines.map((line) => JSON.parse(line) as Letter)]
  })
  return new Map(await Promise.all(entries))
}

async function letters(): Promise<Letter[]> {
  return [...(await lettersByFile()).values()].flat()
}

function scene(stream: MemoryStream, destination: Partial<MemoryDestination> = {}, more: Partial<Scene> = {}): Scene {
  return {
    source: { streams: [stream] },
    destination: { target: new MemoryTarget(), ...destination },
    folder: folder(),
    ...more,
  }
}

const allowing = (maxErrors: number): Partial<Scene> => ({ pipeline: { defaults: { maxErrors } } })

describe('rows that the source cannot read', () => {
  const stream = numbered('orders', 40, { cut: 20, unreadable: [7, 33] })
  const damaged = { stream: 'orders', stage: 'read', code: 'row_invalid', reason: 'the row is damaged' }

  test('with max_errors 0 the first one fails the stream, and is named; the target is as it was', async () => {
    const target = new MemoryTarget()
    const before = { schema: { fields: [] }, rows: [['as it was']], foreign: false }
    target.tables.set('orders', before)
    const report = await runPipeline(pipelineOf(scene(stream, { target })))
    expect(report).toMatchObject({ status: 'failed', exitCode: 4 })
    expect(report.streams[0]?.error).toEqual({
      code: 'row_rejected',
      message: 'orders:7: the row is damaged.',
      fix: expect.stringContaining('max_errors'),
      place: 'orders:7',
    })
    expect(target.tables.get('orders')).toBe(before)
    expect(target.staging.size).toBe(0)
    expect(await letters()).toEqual([])
    expect(report.deadLetters).toBeUndefined()
  })

  test('above 0 they are kept with place and text, and all others arrive', async () => {
    const target = new MemoryTarget()
    const report = await runPipeline(pipelineOf(scene(stream, { target }, allowing(2))))
    expect(report).toMatchObject({ status: 'partial', exitCode: 5, rows: 40 })
    expect(report.streams[0]).toMatchObject({ status: 'done', read: 40, written: 38, rejected: 2 })
    expect(target.rows('orders')).toEqual(stream.rows.filter((_, row) => row !== 7 && row !== 33))
    expect(await letters()).toEqual([
      { ...damaged, id: 'orders:0.1.1', partition: 'orders:0', place: 'orders:7', raw: '7,row 7' },
      { ...damaged, id: 'orders:1.1.1', partition: 'orders:1', place: 'orders:33', raw: '33,row 33' },
    ])
    expect(report.deadLetters).toBe(join(folder(), '.nebula', 'shop.dead-letters', report.run))
  })

  test('one more than allowed fails the stream, and says how many', async () => {
    const target = new MemoryTarget()
    const report = await runPipeline(pipelineOf(scene(stream, { target }, allowing(1))))
    expect(report).toMatchObject({ status: 'failed', exitCode: 4 })
    expect(report.streams[0]?.error).toMatchObject({
      code: 'row_rejected',
      message: 'orders:33: the row is damaged. 2 rows are rejected; max_errors allows 1.',
    })
    expect(target.tables.has('orders')).toBe(false)
    expect(await letters()).toEqual([])
  })

  test('nothing is read again to find a row that was named already', async () => {
    const read: number[] = []
    const beforeBatch = async (row: number): Promise<void> => {
      read.push(row)
    }
    const scene = { source: { streams: [stream], beforeBatch }, destination: { target: new MemoryTarget() } }
    await runPipeline(pipelineOf({ ...scene, folder: folder() }))
    expect(read.filter((row) => row === 0)).toHaveLength(1)
  })

  test('the bound holds for the stream, not for each of its partitions', async () => {
    const spread = numbered('orders', 40, { cut: 10, unreadable: [0, 10, 20, 30] })
    const report = await runPipeline(
      pipelineOf(scene(spread, {}, { pipeline: { defaults: { maxErrors: 3 }, parallel: 4 } })),
    )
    expect(report.streams[0]).toMatchObject({ status: 'failed', error: { code: 'row_rejected' } })
  })

  test('the configuration of the source bounds them where the pipeline says nothing', async () => {
    const report = await runPipeline(pipelineOf(scene(stream, {}, { config: { reliability: { maxErrors: 2 } } })))
    expect(report).toMatchObject({ status: 'partial', exitCode: 5 })
  })

  test('only their owner can read the files', async () => {
    await runPipeline(pipelineOf(scene(stream, {}, allowing(2))))
    const root = join(folder(), '.nebula')
    const [path = ''] = (await lettersByFile()).keys()
    expect((await stat(join(root, path))).mode & 0o777).toBe(0o600)
    expect((await stat(join(root, path, '..'))).mode & 0o777).toBe(0o700)
  })
})

describe('rows that the destination refuses', () => {
  const odd = (row: Row): string | undefined =>
    row[0] === '13' || row[0] === '27' ? 'violates a constraint.' : undefined
  const stream = numbered('orders', 40, { cut: 20 })

  test.each(['named', 'range'] as const)('with max_errors 0 the first one is named (told as %s)', async (tells) => {
    const target = new MemoryTarget()
    const report = await runPipeline(pipelineOf(scene(stream, { target, refuses: odd, tells })))
    expect(report).toMatchObject({ status: 'failed', exitCode: 4 })
    expect(report.streams[0]?.error).toMatchObject({
      code: 'row_rejected',
      message: 'orders:13: violates a constraint.',
      place: 'orders:13',
    })
    expect(target.tables.has('orders')).toBe(false)
    expect(target.staging.size).toBe(0)
  })

  test.each(['named', 'range'] as const)(
    'above 0 they are kept with their values, and all others arrive (told as %s)',
    async (tells) => {
      const target = new MemoryTarget()
      const ledger = new Ledger()
      const report = await runPipeline(
        pipelineOf(scene(stream, { target, refuses: odd, tells }, { ...allowing(2), ledger })),
      )
      expect(report).toMatchObject({ status: 'partial', exitCode: 5, rows: 40 })
      expect(report.streams[0]).toMatchObject({ read: 40, written: 38, rejected: 2 })
      expect(target.rows('orders')).toEqual(stream.rows.filter((row) => odd(row) === undefined))
      expect((await letters()).map(({ place, reason, values }) => [place, reason, values])).toEqual([
        ['orders:13', 'violates a constraint.', { id: '13', name: 'row 13' }],
        ['orders:27', 'violates a constraint.', { id: '27', name: 'row 27' }],
      ])
      expect(ledger.released).toBe(ledger.yielded)
      expect(ledger.bytesUsed).toBe(0)
    },
  )

  test('only what came after the last commit runs again', async () => {
    const target = new MemoryTarget()
    const read: number[] = []
    const beforeBatch = async (row: number): Promise<void> => {
      read.push(row)
    }
    const source = { streams: [numbered('orders', 40, { positions: true })], beforeBatch }
    const destination = { target, refuses: odd, commitOften: true }
    const report = await runPipeline(pipelineOf({ source, destination, folder: folder(), ...allowing(2) }))
    expect(report.streams[0]).toMatchObject({ read: 40, written: 38, rejected: 2 })
    expect(target.rows('orders')).toHaveLength(38)
    expect(read.filter((row) => row === 0)).toHaveLength(1)
    expect(read.filter((row) => row === 10)).toHaveLength(2)
    expect(read.slice(-3)).toEqual([10, 20, 30])
    const sequences = [...(await lettersByFile()).keys()].map((name) => name.split('.').at(-2))
    expect(sequences).toEqual(['2', '3'])
  })

  test('what an attempt had rejected does not count twice when it runs again', async () => {
    const target = new MemoryTarget()
    const both = numbered('orders', 20, { unreadable: [3] })
    const report = await runPipeline(pipelineOf(scene(both, { target, refuses: odd }, allowing(2))))
    expect(report.streams[0]).toMatchObject({ status: 'done', read: 20, written: 18, rejected: 2 })
  })

  test('wire rows are looked into only for the letter', async () => {
    const target = new MemoryTarget()
    const wired = numbered('orders', 20, { wire: ['lines'] })
    const report = await runPipeline(pipelineOf(scene(wired, { target, refuses: odd, wire: 'lines' }, allowing(1))))
    expect(report.streams[0]).toMatchObject({ written: 19, rejected: 1 })
    expect((await letters())[0]?.values).toEqual({ id: '13', name: 'row 13' })
  })

  test('a refusal that even isolation does not find fails the stream', async () => {
    const faults = new Faults((at) =>
      at === 'commit' ? new NebulaError('row_rejected', { message: 'a deferred constraint' }) : undefined,
    )
    const target = new MemoryTarget()
    const report = await runPipeline(pipelineOf(scene(stream, { target, faults }, allowing(5))))
    expect(report).toMatchObject({ status: 'failed', exitCode: 4 })
    expect(report.streams[0]?.error).toMatchObject({ message: 'a deferred constraint' })
  })
})

describe('what is kept', () => {
  const refusesAll = { refuses: () => 'no' }

  test('has every value exactly', async () => {
    const fields = [
      'i int64',
      'u uint64',
      'd decimal(20,4)',
      'n numeric',
      'f float64',
      'g float32',
      'b bool',
      'x binary',
      'day date',
      'ts timestamptz',
      'none utf8',
      'j json',
      'id uuid',
    ]
    const row: Row = [
      '-9223372036854775808',
      '18446744073709551615',
      '1234567890123456.7890',
      '0.10000000000000000000000000000000000000000000001',
      'NaN',
      '-0',
      'true',
      '\\x00ff',
      '0044-03-15 BC',
      '2024-02-29 23:59:59.999999+00',
      null,
      '{"a": 1.0}',
      '00000000-0000-0000-0000-00000000002a',
    ]
    const stream = { name: 'values', fields: fields.map((text) => field(text)), rows: [row] }
    await runPipeline(pipelineOf(scene(stream, refusesAll, allowing(1))))
    const [letter] = await letters()
    expect(Object.values(letter?.values ?? {})).toEqual(row)
  })

  test('a masked column cannot be read in it, whoever rejected the row', async () => {
    const stream = numbered('people', 20, { unreadable: [3] })
    const masked: Partial<Scene> = { pipeline: { defaults: { maxErrors: 5, mask: { name: 'sha256' } } } }
    const refuses = (row: Row): string | undefined => (row[0] === '5' ? 'no' : undefined)
    const report = await runPipeline(pipelineOf(scene(stream, { refuses }, masked)))
    expect(report.streams[0]).toMatchObject({ written: 18, rejected: 2 })
    const found = await letters()
    expect(JSON.stringify(found)).not.toContain('row 3')
    expect(JSON.stringify(found)).not.toContain('row 5')
    expect(found.map(({ place }) => place)).toEqual(['people:3', 'people:5'])
    expect(found[1]?.values).toEqual({ id: '5', name: expect.stringMatching(/^[0-9a-f]{64}$/) })
  })

  test('a value that does not fit its cast is kept as it was, other columns masked', async () => {
    const fields = [field('id int64'), field('score utf8'), field('email utf8')]
    const rows: Row[] = [
      ['1', '10', 'a@example.org'],
      ['2', 'ten', 'b@example.org'],
      ['3', '30', 'c@example.org'],
    ]
    const target = new MemoryTarget()
    const pipeline: Partial<Scene> = {
      pipeline: { defaults: { maxErrors: 1, cast: { score: { kind: 'int32' } }, mask: { email: 'sha256' } } },
    }
    const report = await runPipeline(pipelineOf(scene({ name: 'scores', fields, rows }, { target }, pipeline)))
    expect(report.streams[0]).toMatchObject({ read: 3, written: 2, rejected: 1 })
    expect(target.rows('scores').map(([id, score]) => [id, score])).toEqual([
      ['1', '10'],
      ['3', '30'],
    ])
    const [letter] = await letters()
    expect(letter).toMatchObject({ place: 'scores:1', column: 'score', code: 'value_invalid' })
    expect(letter?.reason).toBe('the value of "score" does not fit int32')
    expect(letter?.values).toEqual({
      id: '2',
      score: 'ten',
      email: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })
})

describe('dead letters and restarts', () => {
  const lost = new NebulaError('connection_lost', { message: 'gone' })

  test('of a commit that never came are not counted', async () => {
    const stream = numbered('orders', 40, { cut: 20, unreadable: [7] })
    const first = scene(stream, { faults: new Faults((at) => (at === 'commit' ? lost : undefined)) }, allowing(5))
    await runPipeline(pipelineOf(first))
    expect(await letters()).toHaveLength(1)
    const mended = {
      source: { streams: [numbered('orders', 40, { cut: 20 })] },
      destination: { target: first.destination.target },
    }
    const report = await runPipeline(pipelineOf({ ...first, ...mended }))
    expect(report).toMatchObject({ resumed: true, status: 'done', exitCode: 0 })
    expect(await letters()).toEqual([])
  })

  test('of committed partitions stay and are counted on, and those of one that runs again are replaced', async () => {
    const stream = numbered('orders', 40, { cut: 10, unreadable: [7, 17] })
    const faults = new Faults((at, count) => (at === 'commit' && count === 1 ? lost : undefined))
    const first = scene(stream, { faults }, allowing(5))
    await runPipeline(pipelineOf(first))
    expect((await letters()).map(({ place }) => place)).toEqual(['orders:7', 'orders:17'])
    const report = await runPipeline(pipelineOf({ ...first, destination: { target: first.destination.target } }))
    expect(report.streams[0]).toMatchObject({ read: 40, written: 38, rejected: 2, resumed: 10 })
    expect((await letters()).map(({ place }) => place)).toEqual(['orders:7', 'orders:17'])
  })

  test('rows rejected before the kill count towards the bound', async () => {
    const stream = numbered('orders', 40, { cut: 10, unreadable: [7, 17] })
    const faults = new Faults((at, count) => (at === 'commit' && count === 1 ? lost : undefined))
    const first = scene(stream, { faults }, allowing(1))
    await runPipeline(pipelineOf(scene(stream, { ...first.destination }, allowing(1))))
    const report = await runPipeline(pipelineOf({ ...first, destination: { target: first.destination.target } }))
    expect(report.streams[0]?.error).toMatchObject({
      message: expect.stringContaining('2 rows are rejected; max_errors allows 1'),
    })
  })

  test('of a stream that was finished before the kill are told again at the end', async () => {
    const source = { streams: [numbered('lines', 10, { unreadable: [4] }), numbered('orders', 10)] }
    const faults = new Faults((at, count) => (at === 'commit' && count === 1 ? lost : undefined))
    const target = new MemoryTarget()
    const first: Scene = { source, destination: { target, faults }, folder: folder(), ...allowing(5) }
    await runPipeline(pipelineOf(first))
    const report: Report = await runPipeline(pipelineOf({ ...first, destination: { target } }))
    expect(report.streams.map(({ status }) => status)).toEqual(['finished_before', 'done'])
    expect(report).toMatchObject({
      status: 'partial',
      exitCode: 5,
      deadLetters: expect.stringContaining('dead-letters'),
    })
    expect(await letters()).toHaveLength(1)
  })
})
