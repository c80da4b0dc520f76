import type { PathLike } from 'node:fs'
import { writeSync } from 'node:fs'
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'
import type { DestinationDriver, Writer } from '@nebula/core'
import type { Pipeline } from '@nebula/runtime'
import type { Db, Document } from 'mongodb'

/** The steps of a destination behind which something is durable. */
const STEPS = ['prepare', 'finish', 'sweep', 'discard', 'end'] as const satisfies (keyof DestinationDriver)[]
/** Stored at times of its own, and nobody goes on with it. */
const NEWS = /\.progress\.json$/

/**
 * Named points of a run: before and behind every step that makes something durable. The process kills itself with
 * SIGKILL when it reaches the one that it was told; before that it says which one on standard error.
 */
export class CrashPoints {
  /** Points that were reached so far. */
  reached = 0
  readonly #fatal: number

  /** `fatal` is the number of a point, from 0; left out: none. */
  constructor(fatal = Infinity) {
    this.#fatal = fatal
  }

  /** Does something between two points. */
  async around<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.#reach(`before ${name}`)
    const result = await work()
    this.#reach(`behind ${name}`)
    return result
  }

  #reach(name: string): void {
    if (this.reached++ !== this.#fatal) return
    writeSync(2, `${POINT}${name}\n`)
    process.kill(process.pid, 'SIGKILL')
    // Nothing more happens, however late the signal comes.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
}

/** Begins the line that names the point of a kill. */
export const POINT = 'killed '

/** The same pipeline, with points around the steps of its destination. */
export function withDriverPoints(pipeline: Pipeline, points: CrashPoints): Pipeline {
  const { connector, config } = pipeline.destination
  const wrapped = {
    ...connector,
    destination: (keys: typeof config) => {
      if (!connector.destination) throw new Error(`The connector ${connector.name} cannot be written to.`)
      return crashingDriver(connector.destination(keys), points)
    },
  }
  return { ...pipeline, destination: { connector: wrapped, config } }
}

/** From now on every file that is moved or linked to its place has points: what is staged, and all state that is durable. */
export function addFilePoints(points: CrashPoints): void {
  const { link, rename } = promises
  promises.link = (from, to) => points.around(storing(to), () => link(from, to))
  promises.rename = (from, to) =>
    NEWS.test(String(to)) ? rename(from, to) : points.around(storing(to), () => rename(from, to))
  syncBuiltinESMExports()
}

type Command = (this: Db, asked: Document, options?: object) => Promise<Document>
/** What changes a database of documents. */
const WRITES = ['create', 'createIndexes', 'insert', 'update', 'delete', 'drop', 'renameCollection']

/** From now on every command by which the driver of MongoDB is told to change something has points. */
export async function addCommandPoints(points: CrashPoints): Promise<void> {
  const driver = await import('mongodb')
  const prototype: { command: Command } = driver.Db.prototype
  const original = prototype.command
  prototype.command = function (asked, options) {
    const verb = WRITES.find((name) => Object.hasOwn(asked, name))
    const run = (): Promise<Document> => original.call(this, asked, options)
    return verb === undefined ? run() : points.around(`${verb} ${withoutHash(String(asked[verb]))}`, run)
  }
}

/** What stands for a run differs from run to run, and the name of a database from scene to scene. */
function withoutHash(name: string): string {
  return name.replace(/^nebula_scene_[^.]*\./, '').replace(/_[0-9a-f]{12}/g, '_*')
}

const storing = (path: PathLike): string => `storing ${withoutRun(basename(String(path)))}`

/** Ids of runs differ from run to run. */
function withoutRun(name: string): string {
  return name.replace(/\b(?:[0-9a-f]{8}){1,2}\b/g, '*')
}

type Method = (...args: unknown[]) => Promise<unknown>

function crashingDriver(driver: DestinationDriver, points: CrashPoints): DestinationDriver {
  const writer = async (...args: Parameters<DestinationDriver['writer']>): Promise<Writer> =>
    intercepted(await driver.writer(...args), ['commit'], points)
  const steps = intercepted(driver, STEPS, points)
  return new Proxy(steps, { get: (target, key) => (key === 'writer' ? writer : Reflect.get(target, key)) })
}

/** The same object, with points around the methods of these names. */
function intercepted<T extends object>(object: T, names: readonly (keyof T & string)[], points: CrashPoints): T {
  return new Proxy(object, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      if (typeof value !== 'function') return value
      const method = value.bind(target) as Method
      const name = names.find((other) => other === key)
      return name === undefined ? method : (...args: unknown[]) => points.around(name, () => method(...args))
    },
  })
}
