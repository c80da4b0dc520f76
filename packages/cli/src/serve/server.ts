import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { NebulaError } from '@nebula/core'
import { CONTENT_POLICY } from '../pages/page.ts'
import type { Address } from './address.ts'
import { livePage } from './live-page.ts'
import { ProgressStream } from './progress-stream.ts'
import type { ProgressFeed } from './progress-feed.ts'

export interface ServeOptions {
  readonly address: Address
  readonly feed: ProgressFeed
  /** The metrics in Prometheus' text form. */
  readonly metrics: () => Promise<string>
}

export interface Serving {
  readonly url: string
  /** Sends what is new to whoever still listens, and closes; waits for nobody who does not read. */
  close(): Promise<void>
}

const LOOPBACK = ['127.0.0.1', '::1', 'localhost']
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': CONTENT_POLICY,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}
/** A client that does not read for so long at the end is not waited for. */
const PATIENCE_MS = 1000

/** Serves the progress of one pipeline. Throws `usage` when the address is not to be had. */
export async function serveProgress({ address, feed, metrics }: ServeOptions): Promise<Serving> {
  const stream = new ProgressStream(feed)
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const reply = (status: number, type: string, text: string): void => {
      response.writeHead(status, { ...HEADERS, 'content-type': `${type}; charset=utf-8` })
      response.end(request.method === 'HEAD' ? undefined : text)
    }
    const refused = refusal(request, address)
    if (refused) return reply(refused.status, 'text/plain', refused.why)
    switch (URL.parse(request.url ?? '', 'http://localhost')?.pathname) {
      case '/':
        return reply(200, 'text/html', livePage())
      case '/healthz':
        return reply(200, 'text/plain', 'ok\n')
      case '/readyz': {
        const status = feed.current?.status ?? 'no run'
        return reply(['running', 'done', 'partial'].includes(status) ? 200 : 503, 'text/plain', `${status}\n`)
      }
      case '/metrics':
        return reply(200, 'text/plain; version=0.0.4', await metrics())
      case '/progress':
        response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream; charset=utf-8' })
        if (request.method === 'HEAD') response.end()
        else stream.add(response, request.headers['last-event-id'])
        return
      default:
        return reply(404, 'text/plain', 'not found\n')
    }
  }
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy())
  })
  await listen(server, address)
  const { port } = server.address() as AddressInfo
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return {
    url: `http://${host}:${port}/`,
    async close() {
      await feed.refresh()
      const closed = new Promise((resolve) => server.close(resolve))
      stream.end()
      const timer = setTimeout(() => server.closeAllConnections(), PATIENCE_MS)
      server.closeIdleConnections()
      await closed
      clearTimeout(timer)
    },
  }
}

function refusal(request: IncomingMessage, address: Address): { status: number; why: string } | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, why: 'GET only\n' }
  // Under another name, someone else's page made it point here, and could read along.
  const foreign = LOOPBACK.includes(address.host) && !LOOPBACK.includes(hostOf(request))
  return foreign ? { status: 403, why: 'this server is for this machine\n' } : undefined
}

function hostOf({ headers: { host } }: IncomingMessage): string {
  return URL.parse(`http://${host ?? ''}`)?.hostname.replace(/^\[|\]$/g, '') ?? ''
}

function listen(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = {
        EADDRINUSE: 'something else listens there',
        EACCES: 'the system does not allow it',
        EADDRNOTAVAIL: 'it is no address of this machine',
      }[cause.code ?? '']
      const message = `Cannot serve at ${host}:${port}: ${why ?? cause.code ?? 'it failed'}.`
      reject(new NebulaError('usage', { message, fix: 'Choose another address, or port 0 for any free port.', cause }))
    })
    server.listen(port, host, resolve)
  })
}
