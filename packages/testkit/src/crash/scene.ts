import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Guarantee, Mode, Recalled } from '@nebula/core'
import { toNebulaError } from '@nebula/core'
import type { Pipeline, Report } from '@nebula/runtime'
import { agreePipeline, loadPipeline, openPipeline, runPipeline } from '@nebula/runtime'
import { createDatabase } from '../create-database.ts'
import type { RowDifference, TextRow } from './compare-rows.ts'
import { compareRows, isEqual } from './compare-rows.ts'
import type { CrashSubject } from './crash.ts'
import { CsvEnd } from './csv-end.ts'
import { MongoEnd, newMongoDatabase } from './mongo-end.ts'
import { PostgresEnd } from './postgres-end.ts'
import type { Outcome, RunCommand } from './run-command.ts'
import { runCommand } from './run-command.ts'
import type { SceneEnd } from './scene-end.ts'
import type { TableShape } from './scene-table.ts'
import { DOCUMENTS, PLAIN, sceneDocuments, sceneRows, TYPES } from './scene-table.ts'

/** No fault may hold a run up for longer; the limits that tests set are far below. */
const HANGING_MS = 30_000
/** Of the rows that stand at the target before the run: the key of the first, and how many there are. */
const EXISTING = [-100, 100] as const
/** Of those that a merge replaces: keys of the first rows that the run brings, and values of others. */
const STALE = { first: 1, valuesOf: 5001, rows: 50 } as const
/** The last row of a file, which cannot be read. */
const FAULTY_ROW = 'no number,"x",1.00,2000-01-01'

const ENDS = { csv: CsvEnd, mongo: MongoEnd, postgres: PostgresEnd } as const

export type SceneConnector = keyof typeof ENDS

export interface Route {
  readonly from: SceneConnector
  readonly to: SceneConnector
  readonly mode: Mode
}

/** What runs pipelines: a program with its first arguments, and its variables. */
export type Program = Pick<RunCommand, 'command' | 'env'>

export interface SceneOptions {
  /** URLs of the servers on which the two databases are made; '' where rows lie in files. */
  readonly servers: { readonly source: string; readonly target: string }
  /** The `nebula` command. */
  readonly nebula: Program
  /** `CRASH_CHILD`. Required by `crashAtPoints`. */
  readonly child?: Program
  /** Of the source, about 110 bytes each. Default: 12,000. */
  readonly rows?: number
  /** Default: 200,000. */
  readonly partitionBytes?: number
  /** Rows stand at the target before the run. Default: where some of them stay, at a table. */
  readonly existing?: boolean
  /** The last row of a file cannot be read, and is kept as a dead letter. Default: false. */
  readonly faultyRow?: boolean
  /** A merge deletes what only the target has. Needs a source whose rows can all be read. Default: false. */
  readonly deletes?: boolean
}

/** Keys of the two ends, as in a pipeline file, and of the pipeline itself. */
export interface SceneSettings {
  readonly source?: object
  readonly destination?: object
  readonly pipeline?: object
  /** URLs in place of those of the two databases. */
  readonly sourceUrl?: string
  readonly targetUrl?: string
  /** The state folder. Default: beside the pipeline file. */
  readonly state?: string
}

/** The first thing that went wrong, wherever it is told. */
export interface Failure {
  readonly code: string
  readonly message: string
  readonly fix: string
}

export interface SceneRun extends Outcome {
  readonly failure: Failure | undefined
}

/** One table at a source, one route, and its pipeline file in a folder of its own. Its ends are read by their own means. */
export class Scene implements AsyncDisposable {
  readonly route: Route
  readonly folder: string
  /** URLs of the databases of the two ends; '' where it has none. */
  readonly source: string
  readonly target: string
  readonly #options: Required<Omit<SceneOptions, 'child' | 'servers'>> & Pick<SceneOptions, 'child'>
  readonly #shape: TableShape
  readonly #from: SceneEnd
  readonly #to: SceneEnd
  /** What stands at the target before the run, if anything does, and what the run brings; the key comes first. */
  readonly #existing: readonly TextRow[]
  readonly #rows: readonly TextRow[]

  private constructor(route: Route, folder: string, urls: SceneOptions['servers'], options: SceneOptions) {
    this.route = route
    this.folder = folder
    this.source = urls.source
    this.target = urls.target
    const existing = route.mode !== 'overwrite' && route.to !== 'csv'
    const keyed = route.mode === 'merge'
    this.#options = { rows: 12_000, partitionBytes: 200_000, existing, faultyRow: false, deletes: false, ...options }
    const [shape, rowsOf] = route.from === 'mongo' ? [DOCUMENTS, sceneDocuments] : [PLAIN, sceneRows]
    this.#shape = shape
    this.#from = new ENDS[route.from]({ role: 'source', folder, url: urls.source, shape, keyed: false })
    this.#to = new ENDS[route.to]({ role: 'target', folder, url: urls.target, shape, keyed })
    const values = rowsOf(STALE.valuesOf, STALE.rows)
    const stale = rowsOf(STALE.first, STALE.rows).map(([key = null], i) => [key, ...(values[i] ?? []).slice(1)])
    this.#existing = this.#options.existing ? [...rowsOf(...EXISTING), ...(keyed ? stale : [])] : []
    this.#rows = rowsOf(1, this.#options.rows)
  }

  static async create(route: Route, options: SceneOptions): Promise<Scene> {
    const folder = await mkdtemp(join(tmpdir(), 'nebula-scene-'))
    const source = await newDatabase(options.servers.source)
    const target = await newDatabase(options.servers.target)
    const scene = new Scene(route, folder, { source, target }, options)
    await scene.#from.clear()
    await scene.#from.put(scene.#rows)
    if (scene.#from instanceof CsvEnd) for (const [, line] of scene.#faulty) await scene.#from.add(line ?? '')
    await scene.reset()
    return scene
  }

  /** Everything as it was before the first run. */
  async reset(): Promise<void> {
    await rm(join(this.folder, '.nebula'), { recursive: true, force: true })
    await this.#to.clear()
    if (this.#existing.length > 0) await this.#to.put(this.#existing)
  }

  /** Writes the pipeline file that the command runs. */
  async writePipeline(settings: SceneSettings = {}): Promise<void> {
    await writeFile(join(this.folder, 'orders.json'), JSON.stringify(this.#pipeline(settings)))
  }

  /** Runs the command with these settings to its end, in a process of its own. */
  async run(settings: SceneSettings = {}, started?: (child: ChildProcess) => void): Promise<SceneRun> {
    await this.writePipeline(settings)
    const env = { SOURCE_URL: settings.sourceUrl ?? this.source, TARGET_URL: settings.targetUrl ?? this.target }
    const { command } = this.#options.nebula
    const state = settings.state === undefined ? [] : ['--state', settings.state]
    const args = ['run', 'orders.json', ...state, '--json']
    const run = { command: [...command, ...args], cwd: this.folder, env: { ...this.#options.nebula.env, ...env } }
    const outcome = await runCommand(run, HANGING_MS, started)
    if (outcome.milliseconds >= HANGING_MS) throw new Error(`The run hangs. ${outcome.stderr}`)
    return { ...outcome, failure: failureOf(outcome.report) }
  }

  /** What the plan promises of the rows, now. Writes the pipeline file. */
  async guarantee(settings: SceneSettings = {}): Promise<Guarantee> {
    await this.writePipeline(settings)
    const pipeline = await this.#load(settings)
    const open = await openPipeline(pipeline, {})
    try {
      const { agreed, problems } = await agreePipeline(pipeline, open.drivers, open.contexts, undefined)
      const [stream] = agreed
      if (!stream) throw new Error(`Nothing can be planned: ${JSON.stringify(problems)}`)
      return stream.accepted.guarantee
    } finally {
      await open.close()
    }
  }

  /** Runs the pipeline in this process, which is quicker: for runs to which nothing happens. */
  async runHere(settings: SceneSettings = {}): Promise<SceneRun> {
    await this.writePipeline(settings)
    const [startedAt, began] = [Date.now(), performance.now()]
    const end = await runPipeline(await this.#load(settings)).then(
      (report) => ({ report, code: report.exitCode, failure: failureOf(report) }),
      (error: unknown) => {
        const { code, message, fix, exitCode } = toNebulaError(error)
        return { report: undefined, code: exitCode, failure: { code, message, fix } }
      },
    )
    return { ...end, signal: null, stderr: '', startedAt, milliseconds: performance.now() - began }
  }

  /** The same command again: it ends well, with every row at its place once, and nothing else is left. */
  async rerun(settings: SceneSettings = {}): Promise<SceneRun> {
    const outcome = await this.runHere(settings)
    await this.expectWhole(outcome)
    return outcome
  }

  /** The run ended well, with every row at its place once, and nothing else is left. */
  async expectWhole(outcome: SceneRun): Promise<void> {
    this.expectDone(outcome)
    await this.expectSame()
    await this.expectNothingLeft()
  }

  expectDone({ code, failure, stderr }: SceneRun): void {
    assert.deepEqual({ code, failure }, { code: this.#exitCode, failure: undefined }, stderr)
  }

  /** Compares source and destination, row by row. */
  async expectSame(): Promise<void> {
    const difference = await this.compare()
    if (!isEqual(difference)) throw new Error(`The rows differ: ${JSON.stringify(difference)}`)
  }

  async compare(): Promise<RowDifference> {
    const actual = [...(await this.#to.rows()), ...(await this.#deadLetters())]
    return compareRows([...(await this.#asRead(this.#wanted)), ...this.#faulty], actual)
  }

  /** True when a reader of the target sees what was there before the run, all that it brings, or all that is to be there. */
  async isWhole(): Promise<boolean> {
    const actual = await this.#to.rows()
    for (const rows of [this.#existing, this.#brought, this.#wanted])
      if (isEqual(compareRows(await this.#asRead(rows), actual))) return true
    return false
  }

  /** No session, staging, lock or temporary file of a run that is over. */
  async expectNothingLeft(): Promise<void> {
    for (const end of [this.#from, this.#to]) await end.expectNothingLeft()
    const files = await readdir(this.folder, { recursive: true })
    assert.deepEqual(
      files.filter((name) => /\.(lock|takeover|tmp|staged|run)\b/.test(name)),
      [],
    )
  }

  /** For `crashAtRandom` and `crashAtPoints`. Writes the pipeline file. */
  async subject(settings: SceneSettings = {}): Promise<CrashSubject> {
    await this.writePipeline(settings)
    const { nebula, child } = this.#options
    const urls = { SOURCE_URL: this.source, TARGET_URL: this.target }
    const commandOf = ({ command, env }: Program, ...args: string[]): RunCommand => {
      return { command: [...command, ...args], cwd: this.folder, env: { ...env, ...urls } }
    }
    return {
      command: commandOf(nebula, 'run', 'orders.json', '--json'),
      ...(child ? { commandAt: (point: number) => commandOf(child, 'orders.json', String(point)) } : {}),
      exitCode: this.#exitCode,
      reset: () => this.reset(),
      compare: () => this.compare(),
      expectNothingLeft: () => this.expectNothingLeft(),
      isWhole: () => this.isWhole(),
      hasBegun: (pid) => this.#isLockedBy(pid),
      recall: () => this.#recall(),
    }
  }

  #load({ sourceUrl = this.source, targetUrl = this.target, state }: SceneSettings = {}): Promise<Pipeline> {
    const environment = { SOURCE_URL: sourceUrl, TARGET_URL: targetUrl }
    const stateFolder = state === undefined ? {} : { stateFolder: state }
    return loadPipeline(join(this.folder, 'orders.json'), { environment, ...stateFolder })
  }

  /** The lock names the process that runs the pipeline. */
  #isLockedBy(pid: number): boolean {
    try {
      const lock = readFileSync(join(this.folder, '.nebula', 'orders.lock'), 'utf8')
      return (JSON.parse(lock) as { readonly pid: number }).pid === pid
    } catch {
      return false
    }
  }

  async #recall(): Promise<Recalled | undefined> {
    const pipeline = await this.#load()
    const open = await openPipeline(pipeline, {})
    try {
      return await open.drivers.destination.recall?.(pipeline.name, open.contexts.destination)
    } finally {
      await open.close()
    }
  }

  /** What the target should hold behind the run. */
  get #wanted(): readonly TextRow[] {
    return this.#options.deletes ? this.#rows : this.#brought
  }

  /** What it holds when all rows are in it, and none is deleted. */
  get #brought(): readonly TextRow[] {
    const brought = new Set(this.route.mode === 'merge' ? this.#rows.map(([key]) => key) : [])
    const stay = this.route.mode === 'overwrite' ? [] : this.#existing.filter(([key]) => !brought.has(key ?? null))
    return [...stay, ...this.#rows]
  }

  async #asRead(rows: readonly TextRow[]): Promise<readonly TextRow[]> {
    return (await this.#to.asRead?.(rows)) ?? rows
  }

  /** Dead letters that the run should keep, as rows of their own. */
  get #faulty(): readonly TextRow[] {
    return this.#options.faultyRow && this.route.from === 'csv' ? [['a dead letter', FAULTY_ROW]] : []
  }

  get #exitCode(): number {
    return this.#faulty.length > 0 ? 5 : 0
  }

  #pipeline({ source, destination, pipeline }: SceneSettings): object {
    const { from, to, mode } = this.route
    const [key = ''] = this.#shape.names
    const advanced = { partition_bytes: this.#options.partitionBytes }
    return {
      source: { ...this.#from.keys, advanced, ...source },
      destination: { ...this.#to.keys, ...destination },
      streams: {
        [this.#from.stream]: {
          mode,
          target: this.#to.stream,
          ...(this.#faulty.length > 0 ? { max_errors: 1 } : {}),
          ...(from === 'csv' ? { types: TYPES } : {}),
          ...(this.#options.deletes ? { deletes: 'hard' } : {}),
          ...(mode === 'merge'
            ? { key: [key], ...(to === 'mongo' && key !== '_id' ? { rename: { [key]: '_id' } } : {}) }
            : {}),
        },
      },
      parallel: 1,
      ...pipeline,
    }
  }

  async #deadLetters(): Promise<TextRow[]> {
    const files = await readdir(join(this.folder, '.nebula'), { recursive: true }).catch(() => [])
    const letters = files.filter((name) => name.endsWith('.jsonl'))
    const texts = await Promise.all(letters.map((name) => readFile(join(this.folder, '.nebula', name), 'utf8')))
    const lines = texts.flatMap((text) => text.trimEnd().split('\n'))
    return lines.map((line) => ['a dead letter', (JSON.parse(line) as { readonly raw: string }).raw])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
    for (const end of [this.#from, this.#to]) await end.drop?.()
  }
}

/** At the server of a URL. */
async function newDatabase(url: string): Promise<string> {
  if (url === '') return ''
  return url.startsWith('mongodb') ? newMongoDatabase(url) : createDatabase({ url })
}

function failureOf(report: Report | undefined): Failure | undefined {
  const failed = report as (Partial<Report> & { readonly error?: Failure }) | undefined
  return failed?.error ?? failed?.streams?.flatMap(({ error }) => error ?? [])[0]
}
