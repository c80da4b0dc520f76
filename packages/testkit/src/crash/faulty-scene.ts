import type { ChildProcess } from 'node:child_process'
import type { FaultyConnection, FaultyDirection } from '../fault-proxy.ts'
import { FaultProxy } from '../fault-proxy.ts'
import { eventually } from './eventually.ts'
import type { Route, SceneOptions, SceneRun, SceneSettings } from './scene.ts'
import { Scene } from './scene.ts'

/** Of the bytes of the rows: some partitions are committed, some are not begun. */
const MIDDLE_BYTES = 700_000

/** Keys of an end at which every failure is final. */
export const NO_RETRY = { reliability: { max_retries: 0 } }
/** Keys of an end that tries again at once. */
export const RETRIES = { reliability: { max_retries: 3, retry_delay: '10ms' } }
/** So long an end may take to answer. */
export const SHORT_MS = 1_000
/** Keys of an end at which nothing may take longer, and nothing is tried again. */
export const SHORT = {
  ...NO_RETRY,
  // It is added to the limit of a read.
  performance: { flush_interval: '100ms' },
  timeouts: Object.fromEntries(
    ['connection', 'request', 'query_timeout', 'read', 'write'].map((key) => [key, `${SHORT_MS}ms`]),
  ),
}

/** A route, and which of its ends something happens to. */
export interface FaultyRoute extends Route {
  readonly faulty: 'source' | 'destination'
}

/** A scene whose faulty end is reached through a proxy. */
export class FaultyScene implements AsyncDisposable {
  readonly scene: Scene
  readonly proxy: FaultProxy
  readonly #faulty: FaultyRoute['faulty']

  private constructor(scene: Scene, proxy: FaultProxy, faulty: FaultyRoute['faulty']) {
    this.scene = scene
    this.proxy = proxy
    this.#faulty = faulty
  }

  /** The proxy stands before the server of the faulty end. */
  static async create({ faulty, ...route }: FaultyRoute, options: SceneOptions): Promise<FaultyScene> {
    const scene = await Scene.create(route, options)
    const proxy = await FaultProxy.before(options.servers[faulty === 'source' ? 'source' : 'target'])
    return new FaultyScene(scene, proxy, faulty)
  }

  /** The direction in which the rows flow. */
  get rows(): FaultyDirection {
    return this.#faulty === 'source' ? this.proxy.toClient : this.proxy.toServer
  }

  /** The direction in which they are asked for. */
  get other(): FaultyDirection {
    return this.#faulty === 'source' ? this.proxy.toServer : this.proxy.toClient
  }

  /** The database of the faulty end, without the proxy. */
  get database(): string {
    return this.#faulty === 'source' ? this.scene.source : this.scene.target
  }

  /** `keys` are for the faulty end; `login` is another user of its database. */
  settings(keys: object, login?: Login): SceneSettings {
    const url = new URL(this.proxy.url(this.database))
    if (login) Object.assign(url, login)
    return this.#faulty === 'source'
      ? { source: keys, sourceUrl: url.href }
      : { destination: keys, targetUrl: url.href }
  }

  run(keys: object, login?: Login): Promise<SceneRun> {
    return this.scene.run(this.settings(keys, login))
  }

  /** Runs, and does something in the middle of the rows; they wait for it. Throws where no run comes so far. */
  async runUntil(keys: object, act: Act, login?: Login): Promise<SceneRun> {
    const running = Promise.withResolvers<ChildProcess>()
    let happens = false
    const done = this.rows.after(MIDDLE_BYTES, async (connection) => {
      happens = true
      await act(connection, await running.promise)
    })
    done.catch(() => {})
    const outcome = await this.scene.run(this.settings(keys, login), running.resolve)
    if (!happens) throw new Error(`The run ended before the middle of its rows: ${JSON.stringify(outcome.failure)}`)
    await done
    return outcome
  }

  /** The same command again, without retries: it ends well, and nothing is left. */
  async rerun(login?: Login): Promise<SceneRun> {
    const outcome = await this.scene.rerun(this.settings(NO_RETRY, login))
    await eventually(() => this.proxy.connections || undefined)
    return outcome
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]()
    await this.scene[Symbol.asyncDispose]()
  }
}

/** Another user of a database. */
export interface Login {
  readonly username: string
  readonly password: string
}

/** Something that happens to the connection in which the rows flow, or to the run. */
type Act = (connection: FaultyConnection, run: ChildProcess) => void | Promise<void>
