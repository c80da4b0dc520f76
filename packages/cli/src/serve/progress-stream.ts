import type { ServerResponse } from 'node:http'
import type { TotalHistory } from '@nebula/base'
import type { ProgressFeed, RunView } from './progress-feed.ts'

/** Milliseconds after which a browser that lost the connection comes back. */
const RETRY_MS = 1000

interface Client {
  readonly response: ServerResponse
  /** The run, by its begin, and the sample up to which the client has everything. */
  startedAt: number
  sentMs: number
}

/** One message of the stream; `history` has only the samples that the client does not have yet. */
export type ProgressMessage = RunView & { readonly appends: boolean }

/** Sends progress as server-sent events: all of it to who is new, and then, or after a reconnect, what was added. */
export class ProgressStream {
  readonly #feed: ProgressFeed
  readonly #clients = new Set<Client>()
  readonly #unsubscribe: () => void

  constructor(feed: ProgressFeed) {
    this.#feed = feed
    this.#unsubscribe = feed.onChange(() => {
      for (const client of this.#clients) this.#send(client)
    })
  }

  /** `lastId` is what a client that comes back says it had. */
  add(response: ServerResponse, lastId: string | string[] | undefined): void {
    const [startedAt = Number.NaN, sentMs = Number.NaN] = String(lastId ?? '')
      .split(':')
      .map(Number)
    const client: Client = { response, startedAt, sentMs }
    this.#clients.add(client)
    response.on('close', () => this.#clients.delete(client))
    response.write(`retry: ${RETRY_MS}\n\n`)
    this.#send(client)
  }

  end(): void {
    this.#unsubscribe()
    for (const { response } of this.#clients) response.end()
  }

  #send(client: Client): void {
    const view = this.#feed.current
    // Who does not read gets the next one.
    if (!view || client.response.writableNeedDrain) return
    const appends = client.startedAt === view.startedAt
    const history = appends ? since(view.history, client.sentMs) : view.history
    const message: ProgressMessage = { ...view, history, appends }
    client.startedAt = view.startedAt
    client.sentMs = view.history.ms.at(-1) ?? -1
    client.response.write(`id: ${client.startedAt}:${client.sentMs}\ndata: ${JSON.stringify(message)}\n\n`)
  }
}

function since({ ms, rows, bytes, durable, sourceMs, destinationMs }: TotalHistory, last: number): TotalHistory {
  const from = ms.findIndex((at) => at > last)
  const tail = (values: readonly number[]): readonly number[] => (from < 0 ? [] : values.slice(from))
  return {
    ms: tail(ms),
    rows: tail(rows),
    bytes: tail(bytes),
    durable: tail(durable),
    sourceMs: tail(sourceMs),
    destinationMs: tail(destinationMs),
  }
}
