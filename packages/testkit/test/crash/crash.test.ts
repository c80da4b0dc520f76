import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CrashSubject, CrashTally, RunCommand, TextRow, Window } from '../../src/index.ts'
import { compareRows, CRASH_CHILD, crashAtPoints, crashAtRandom, draw, isClean, newTally } from '../../src/index.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-crash-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const CONNECTORS = path('./row-connectors.ts')
const ROWS: readonly TextRow[] = Array.from({ length: 6 }, (_, i) => [String(i), `note ${i}`])

/** A pipeline that moves six rows in two partitions; it dies at these points only, in turn, or at each. */
async function subjectOf(destination: string, points?: readonly number[]): Promise<CrashSubject> {
  const pipeline = { source: { connector: 'rows' }, destination: { connector: destination }, parallel: 1 }
  await writeFile(join(folder, 'p.json'), JSON.stringify({ ...pipeline, defaults: { mode: 'append' } }))
  const commandAt = (...point: number[]): RunCommand => ({
    command: [
      process.execPath,
      '--conditions=source',
      '--import',
      CONNECTORS,
      CRASH_CHILD,
      'p.json',
      ...point.map(String),
    ],
    cwd: folder,
    env: { NODE_OPTIONS: '' },
  })
  const target = join(folder, 'target')
  const actual = async (): Promise<TextRow[]> => {
    const files = await readdir(target).catch(() => [])
    const texts = await Promise.all(files.map((name) => readFile(join(target, name), 'utf8')))
    return texts.flatMap((text) =>
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as TextRow),
    )
  }
  return {
    command: commandAt(),
    commandAt: (point) => commandAt(points ? (points[point] ?? Infinity) : point),
    async reset() {
      for (const name of await readdir(folder)) {
        if (name !== 'p.json') await rm(join(folder, name), { recursive: true, force: true })
      }
    },
    compare: async () => compareRows(ROWS, await actual()),
    isWhole: async () => [0, ROWS.length].includes((await actual()).length),
  }
}

describe('killed at every named point', () => {
  // Its run is kept by the local state, and its points are: the lock, that state, `prepare`, the schemas; `commit` and that state
  // for each partition; `finish`, that state, the report, that state.
  const [PREPARED, COMMITTED, BETWEEN, FINISHED, NOTED, TOLD] = [5, 9, 11, 17, 19, 21]

  test('a sound destination has every row once', async () => {
    const tally = newTally()
    const points = await crashAtPoints(await subjectOf('sound', [COMMITTED, FINISHED, NOTED, TOLD]), tally)
    expect(points).toEqual([
      'behind commit',
      'behind finish',
      'behind storing p.state.json',
      'behind storing p.report.json',
    ])
    expect(tally).toMatchObject({ lost: 0, doubled: 0, changed: 0, foreign: 0, torn: 0, examples: [] })
    expect(tally).toMatchObject({ kills: 4, completions: 5, resumes: 4 })
    expect(isClean(tally)).toBe(true)
  }, 60_000)

  test.each([
    ['doubles', COMMITTED, 'behind commit', { doubled: 3, lost: 0, changed: 0 }],
    ['loses', BETWEEN, 'behind storing p.state.json', { doubled: 0, lost: 3, changed: 0 }],
    ['changes', PREPARED, 'behind prepare', { doubled: 0, lost: 0, changed: 6 }],
    ['tears', BETWEEN, 'behind storing p.state.json', { doubled: 0, lost: 0, changed: 0, torn: 1 }],
  ])(
    'a destination that %s is caught',
    async (destination, at, point, expected) => {
      const tally = newTally()
      expect(await crashAtPoints(await subjectOf(destination, [at]), tally)).toEqual([point])
      expect(tally).toMatchObject(expected)
      expect(isClean(tally)).toBe(false)
      expect(tally.examples[0]).toMatch(new RegExp(`^${point}: `))
    },
    60_000,
  )
})

/** A command that never ends before it is killed, and ends when nobody does. */
function stubborn(): CrashSubject {
  const report = JSON.stringify({ streams: [{ resumed: 2 }], restarted: [], resumed: true })
  const script = `setTimeout(() => console.log(${JSON.stringify(report)}), 500)`
  return {
    command: { command: [process.execPath, '-e', script], cwd: folder },
    reset: async () => {},
    compare: async () => compareRows([], []),
  }
}

describe('killed at random moments', () => {
  test('a run that never gets far may end behind eight kills; the tally goes on where it was', async () => {
    const seen: (readonly number[])[] = []
    const tally = newTally()
    const onCycle = ({ kills, completions, resumedRows }: CrashTally): void => {
      seen.push([kills, completions, resumedRows])
    }
    const crashes = { seed: 7, window: { startMs: 10, runMs: 50 }, tally, onCycle }
    await crashAtRandom(stubborn(), { ...crashes, kills: 2 })
    await crashAtRandom(stubborn(), { ...crashes, kills: 11 })
    expect(seen).toEqual([
      [2, 1, 2],
      [10, 2, 4],
      [11, 3, 6],
    ])
    expect(tally.index).toBe(11)
  }, 60_000)

  test('the window becomes shorter when a whole run is: a machine may have been slow while it was measured', async () => {
    const script = `const startedAt = new Date().toISOString()
      setTimeout(() => console.log(JSON.stringify({ startedAt, streams: [], restarted: [], resumed: false })), 300)`
    const subject = { ...stubborn(), command: { command: [process.execPath, '-e', script], cwd: folder } }
    const runs: number[] = []
    const window = { startMs: 0, runMs: 10_000_000 }
    const onCycle = (_: CrashTally, { runMs }: Window): void => void runs.push(runMs)
    await crashAtRandom(subject, { seed: 1, kills: 2, window, tally: newTally(), onCycle })
    expect(runs.at(-1)).toBeLessThan(window.runMs)
    expect(runs).toEqual(runs.toSorted((a, b) => b - a))
  }, 60_000)

  test('a run that fails by itself is no kill', async () => {
    const failing = { ...stubborn(), command: { command: [process.execPath, '-e', 'process.exit(3)'], cwd: folder } }
    const crashes = { seed: 1, kills: 1, window: { startMs: 0, runMs: 60_000 }, tally: newTally() }
    await expect(crashAtRandom(failing, crashes)).rejects.toThrow('A run that nobody killed ended with exit code 3')
  })
})

test('a seed gives the same moments, from any of them on', () => {
  const first = Array.from({ length: 1000 }, (_, i) => draw(42, i))
  expect(first).toEqual(Array.from({ length: 1000 }, (_, i) => draw(42, i)))
  expect(first[500]).toBe(draw(42, 500))
  expect(draw(43, 0)).not.toBe(draw(42, 0))
  expect(Math.min(...first)).toBeLessThan(0.01)
  expect(Math.max(...first)).toBeGreaterThan(0.99)
})
