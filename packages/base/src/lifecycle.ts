import type { Context, Lifecycle } from '@nebula/core'
import { NebulaError } from '@nebula/core'

type State = 'new' | 'open' | 'closed'

/**
 * Holds a driver to its life: opened once before use, closed once however often it is asked, and closed also when
 * opening failed half-way.
 */
export class Managed<Driver extends Lifecycle> implements AsyncDisposable {
  readonly #driver: Driver
  readonly #name: string
  #state: State = 'new'
  #closing: Promise<void> | undefined

  constructor(name: string, driver: Driver) {
    this.#name = name
    this.#driver = driver
  }

  /** Connects. Throws `lifecycle` the second time, and when it was closed meanwhile. */
  async open(context: Context): Promise<Driver> {
    if (this.#state !== 'new') {
      throw new NebulaError('lifecycle', { message: `${this.#name} was already opened.`, connector: this.#name })
    }
    this.#state = 'open'
    try {
      await this.#driver.open?.(context)
    } catch (error) {
      // Why it could not be opened says more than why it could not be closed then.
      await this.close().catch(() => {})
      throw error
    }
    return this.driver
  }

  /** The open driver. Throws `lifecycle` before `open` and after `close`. */
  get driver(): Driver {
    if (this.#state !== 'open') {
      const when = this.#state === 'new' ? 'before it was opened' : 'after it was closed'
      throw new NebulaError('lifecycle', { message: `${this.#name} was used ${when}.`, connector: this.#name })
    }
    return this.#driver
  }

  /** Releases everything; resolves when it is done, also the second time. */
  close(): Promise<void> {
    this.#state = 'closed'
    this.#closing ??= this.#driver.close?.() ?? Promise.resolve()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
