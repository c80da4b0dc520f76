import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect, createServer } from 'node:net'

/** One connection through the link. */
export interface Pair {
  /** Breaks it off. */
  cut(): void
  /** No more bytes pass, and nobody is told. */
  silence(): void
}

export interface FaultLink extends AsyncDisposable {
  /** The server's URL, through the link. */
  readonly url: string
}

/** A TCP link to a server; `watch` sees every chunk before it passes, with the bytes of its connection so far. */
export async function faultLink(
  serverUrl: string,
  watch: (chunk: Buffer, from: 'client' | 'server', pair: Pair, bytes: number) => void,
): Promise<FaultLink> {
  const target = new URL(serverUrl)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname)
    let silent = false
    const pair = {
      cut: () => [client, upstream].forEach((socket) => socket.destroy()),
      silence: () => {
        silent = true
        for (const socket of [client, upstream]) socket.pause()
      },
    }
    const pass = (from: Socket, to: Socket, side: 'client' | 'server'): void => {
      sockets.add(from)
      let bytes = 0
      from.on('error', pair.cut).on('close', () => to.destroy())
      from.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (!silent) watch(chunk, side, pair, bytes)
        if (!silent && !to.destroyed) to.write(chunk)
      })
    }
    pass(client, upstream, 'client')
    pass(upstream, client, 'server')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(serverUrl)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as { port: number }).port)
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
