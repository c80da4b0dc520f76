import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { inspect } from 'node:util'
import type { NebulaError } from '@nebula/core'
import { BaseConfig, isNebulaError } from '@nebula/core'
import type { SshServerOptions } from '@nebula/testkit'
import { SshServer } from '@nebula/testkit'
import { afterAll, beforeAll } from 'vitest'
import { SshTunnel } from '../src/index.ts'

export const PASSWORD = 'T0p/secret'
export const never = new AbortController().signal

export function start(options?: SshServerOptions): Promise<SshServer> {
  return SshServer.start({ password: PASSWORD, ...options })
}

/** A tunnel through a server, whose key is known, and whose password unless other keys say how to log in. */
export function tunnelTo(server: SshServer, keys: object = { password: PASSWORD }, timeouts: object = {}): SshTunnel {
  const { host, port: sshPort } = server
  const known = 'knownHosts' in keys ? {} : { fingerprint: server.fingerprint }
  const ssh = { host, port: sshPort, username: 'tunnel', ...known, ...keys }
  const tunnel = SshTunnel.of(BaseConfig.parse({ security: { ssh }, timeouts }))
  if (!tunnel) throw new Error('no tunnel')
  return tunnel
}

/** What a piece of work fails with. */
export async function failure(work: Promise<unknown>): Promise<NebulaError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isNebulaError(error)) throw new Error(`Not a NebulaError: ${inspect(error)}`)
  return error
}

/** Connects a tunnel, and closes it. */
export async function opening(server: SshServer, keys?: object, timeouts?: object): Promise<void> {
  const tunnel = tunnelTo(server, keys, timeouts)
  try {
    await tunnel.proxy()
  } finally {
    await tunnel.close()
  }
}

/** What lies behind an SSH server: it sends back what it is sent. */
export interface Echo {
  readonly port: number
  readonly sockets: ReadonlySet<Socket>
}

/** One for the tests of a file. */
export function useEcho(): Echo {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    socket.pipe(socket)
  })
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
  })
  afterAll(() => void server.close())
  return {
    sockets,
    get port() {
      return (server.address() as AddressInfo).port
    },
  }
}

/** What comes back of a text. */
export async function echoed(socket: Duplex, sent: string): Promise<string> {
  socket.end(sent)
  return text(socket)
}
