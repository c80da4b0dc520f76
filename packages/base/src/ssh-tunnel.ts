import type { Duplex } from 'node:stream'
import type { BaseConfig, SshConfig } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { SocksProxy } from './socks-proxy.ts'
import type { SshConnection } from './ssh-connection.ts'
import { unlessAborted } from './timeout.ts'

/** Where a driver finds the SOCKS5 proxy of a tunnel. */
export interface TunnelProxy extends Pick<SocksProxy, 'host' | 'port' | 'username' | 'password'> {
  /** By `host:port`, why the last connection to it could not be opened: the driver is told less. */
  readonly failures: ReadonlyMap<string, unknown>
  /** Fires when the proxy is gone, and all connections through it; the reason is a `NebulaError` of `connection_lost`. */
  readonly lost: AbortSignal
}

/**
 * The way of a connector to hosts behind an SSH server: one connection, made when it is needed, and again when it was
 * lost. The server looks up the names of the hosts. Whoever made it closes it, behind the connections that go through it.
 */
export class SshTunnel {
  readonly #config: SshConfig
  readonly #timeouts: BaseConfig['timeouts']
  readonly #closing = new AbortController()
  #connection: Promise<SshConnection> | undefined

  constructor(config: SshConfig, timeouts: BaseConfig['timeouts']) {
    this.#config = config
    this.#timeouts = timeouts
  }

  /** The one of `security.ssh`, where there is such a section; nothing is connected yet. */
  static of({ security: { ssh }, timeouts }: BaseConfig): SshTunnel | undefined {
    return ssh && new SshTunnel(ssh, timeouts)
  }

  /**
   * A socket that is connected to a host, for drivers that take one; they may call its `connect`, and it is destroyed
   * with `connection_lost` when the tunnel is lost. Throws `connection_failed`, `host_key_unknown`,
   * `authentication_failed`, `timeout`, `config_invalid`, and the reason of the signal.
   */
  async dial(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
    if (host.startsWith('/')) {
      throw new NebulaError('config_invalid', {
        message: `security.ssh leads to hosts, and ${host} is the folder of a socket.`,
      })
    }
    const connection = await unlessAborted(this.#connected(), signal)
    return connection.dial(host, port, signal)
  }

  /** The proxy, for drivers that take no socket: the same until it is lost, then a new one. Throws as `dial` does. */
  async proxy(): Promise<TunnelProxy> {
    const connection = await this.#connected()
    const { host, port, username, password, failures } = await connection.proxy()
    return { host, port, username, password, failures, lost: connection.lost }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    const connection = await this.#connection?.catch(() => {})
    await connection?.close()
  }

  #connected(): Promise<SshConnection> {
    this.#connection ??= this.#open()
    return this.#connection
  }

  async #open(): Promise<SshConnection> {
    try {
      // Who needs no tunnel does not load what makes one.
      const { SshConnection: Connection } = await import('./ssh-connection.ts')
      const connection = await Connection.open(this.#config, this.#timeouts, this.#closing.signal)
      connection.lost.addEventListener('abort', () => (this.#connection = undefined))
      return connection
    } catch (error) {
      this.#connection = undefined
      throw error
    }
  }
}
