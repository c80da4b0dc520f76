import type { Context } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** The client of a driver that keeps connections of its own, for any number of users at once. */
export interface Shareable<C> {
  readonly client: C
  /** Settles once it is connected, or cannot be. */
  readonly ready: Promise<unknown>
  /** Fires when nothing answers it any more: nobody else gets it. */
  readonly lost: AbortSignal
  /** Closes it, as far as it can: does not throw. */
  close(): Promise<void>
}

/** A client that stays open until it is given back. */
export interface ClientLease<C> {
  readonly client: C
  /** Fires with the context's, and when the client is lost. */
  readonly signal: AbortSignal
  /** To be called once. */
  readonly release: () => void
}

/** Lends one client to all who ask: opened when it is needed, and replaced when it is lost, or too old while nobody has it. */
export class SharedClient<C> {
  readonly #lifetimeMs: number
  #shared: Shareable<C> | undefined
  #expiresAt = 0
  #users = 0
  #closed = false

  /** `lifetimeMs`: see `timeouts.maxLifetime`; left out: for ever. */
  constructor(lifetimeMs = Infinity) {
    this.#lifetimeMs = lifetimeMs
  }

  /** Lends the client once it is ready; where one is needed, `open` makes it. Throws why it is not, and `lifecycle` after `close`. */
  async lend({ clock, signal }: Context, open: () => Shareable<C>): Promise<ClientLease<C>> {
    if (this.#closed) throw new NebulaError('lifecycle', { message: 'A connection was asked for after close.' })
    const isOld = this.#users === 0 && clock.now() >= this.#expiresAt
    if (!this.#shared || this.#shared.lost.aborted || isOld) {
      void this.#shared?.close()
      this.#shared = open()
      this.#expiresAt = clock.now() + this.#lifetimeMs
    }
    const { client, ready, lost } = this.#shared
    const release = (): void => void this.#users--
    this.#users++
    try {
      await ready
      return { client, signal: AbortSignal.any([signal, lost]), release }
    } catch (error) {
      release()
      throw error
    }
  }

  /** Closes the client, whoever has it. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#shared?.close()
    this.#shared = undefined
  }
}
