import type {
  BaseConfig,
  BufferPool,
  Connector,
  Context,
  DestinationDriver,
  RecordBatch,
  SourceDriver,
  Writer,
} from '@nebula/core'
import type { Endpoint } from '@nebula/runtime'

/** One thing that a driver was asked. */
export interface TappedCall {
  readonly side: 'source' | 'destination'
  /** A method of the driver; of what it returned, `read next`, `read return`, `write`, `commit`, `abort`. */
  readonly method: string
  /** How often the method was called before, over all drivers of the tap. */
  readonly index: number
  readonly args: readonly unknown[]
  /** By `performance.now()`. */
  readonly beganAt: number
  /** Once it has answered or failed. */
  endedAt?: number
  error?: unknown
}

/** Where a check steps in. What a hook throws, the caller gets in place of the driver's answer. */
export interface TapHooks {
  /** The driver has not been asked yet. */
  readonly before?: (call: TappedCall) => unknown
  /** It was asked, and works. */
  readonly during?: (call: TappedCall) => void
  /** It has answered, and the caller does not know yet. */
  readonly after?: (call: TappedCall, answer: unknown) => unknown
}

/** Pure methods, which are not tapped. */
const PURE = ['accept', 'readBack', 'readChanges', 'reread']

/** Stands between the runtime and the drivers of a connector: sees every call, and steps in where a check wants it. */
export class Tap {
  /** In order. */
  readonly calls: TappedCall[] = []
  /** Every pool that a driver was given. */
  readonly pools = new Set<BufferPool>()
  readonly #hooks: TapHooks
  readonly #counts = new Map<string, number>()

  constructor(hooks: TapHooks = {}) {
    this.#hooks = hooks
  }

  /** The same endpoint, whose drivers are watched. */
  endpoint({ connector, config }: Endpoint): Endpoint {
    const { source, destination } = connector
    const tapped: Connector = {
      ...connector,
      ...(source ? { source: (own: BaseConfig) => this.source(source(own)) } : {}),
      ...(destination ? { destination: (own: BaseConfig) => this.destination(destination(own)) } : {}),
    }
    return { connector: tapped, config }
  }

  source(driver: SourceDriver): SourceDriver {
    return this.#watched(driver, 'source', (answer) => this.#batches(answer as AsyncIterable<RecordBatch>))
  }

  destination(driver: DestinationDriver): DestinationDriver {
    return this.#watched(driver, 'destination', (answer) => this.#writer(answer as Writer))
  }

  /** Calls that have not been answered. */
  get pending(): readonly TappedCall[] {
    return this.calls.filter(({ endedAt }) => endedAt === undefined)
  }

  #watched<Driver extends object>(
    driver: Driver,
    side: TappedCall['side'],
    wrap: (answer: unknown) => unknown,
  ): Driver {
    return new Proxy(driver, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target)
        if (typeof value !== 'function' || typeof key === 'symbol') return value
        const method = value.bind(target) as (...args: unknown[]) => unknown
        if (PURE.includes(key)) return method
        return (...args: unknown[]): unknown => {
          const context = args.at(-1) as Partial<Context> | undefined
          if (context?.pool) this.pools.add(context.pool)
          if (key === 'read') return wrap(method(...args))
          const answer = this.#call(side, key, args, () => method(...args))
          return key === 'writer' ? answer.then(wrap) : answer
        }
      },
    })
  }

  #batches(batches: AsyncIterable<RecordBatch>): AsyncIterable<RecordBatch> {
    return {
      [Symbol.asyncIterator]: () => {
        const iterator = batches[Symbol.asyncIterator]()
        return {
          next: () =>
            this.#call('source', 'read next', [], () => iterator.next()).catch(async (error: unknown) => {
              // The reader takes it for an end that the driver knows of.
              await iterator.return?.().catch(() => {})
              throw error
            }),
          return: () =>
            this.#call('source', 'read return', [], async () => {
              await iterator.return?.()
              return { done: true as const, value: undefined }
            }),
        }
      },
    }
  }

  #writer(writer: Writer): Writer {
    return {
      write: (...args) => this.#call('destination', 'write', args, () => writer.write(...args)),
      commit: (...args) => this.#call('destination', 'commit', args, () => writer.commit(...args)),
      abort: (...args) => this.#call('destination', 'abort', args, () => writer.abort(...args)),
    }
  }

  async #call<T>(
    side: TappedCall['side'],
    method: string,
    args: readonly unknown[],
    work: () => T | Promise<T>,
  ): Promise<T> {
    const key = `${side} ${method}`
    const index = this.#counts.get(key) ?? 0
    this.#counts.set(key, index + 1)
    const call: TappedCall = { side, method, index, args, beganAt: performance.now() }
    this.calls.push(call)
    const { before, during, after } = this.#hooks
    let answer: T
    try {
      await before?.(call)
      const working = Promise.resolve(work())
      during?.(call)
      answer = await working
    } catch (error) {
      call.error = error
      throw error
    } finally {
      call.endedAt = performance.now()
    }
    await after?.(call, answer)
    return answer
  }
}
