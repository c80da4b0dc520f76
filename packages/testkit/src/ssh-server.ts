import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { pipeline } from 'node:stream/promises'
import type { AuthContext, Connection, ParsedKey, Server } from 'ssh2'

export interface SshServerOptions {
  readonly username?: string
  readonly password?: string
  /** By how the password is given: `keyboard-interactive` is how servers with PAM ask for it. */
  readonly asks?: 'password' | 'keyboard-interactive'
  /** A public key that logs in, in the form of OpenSSH. */
  readonly authorizedKey?: string
  /** Names that only this server knows, by address: `db.internal` is `127.0.0.1`. */
  readonly hosts?: Readonly<Record<string, string>>
  /** Keys of the server, in the form of OpenSSH; default: one that is made. */
  readonly hostKeys?: readonly string[]
}

const USERNAME = 'tunnel'

/**
 * A pair of Ed25519 keys in the form of OpenSSH; with a passphrase the private one is encrypted. One in a hundred that ssh2
 * makes is a byte too short for everybody, itself among them: it makes another then.
 */
export async function sshKeys(passphrase?: string): Promise<{ readonly private: string; readonly public: string }> {
  const { generateKeyPairSync, parseKey } = (await import('ssh2')).default.utils
  const encrypted = { cipher: 'aes256-ctr', rounds: 1, passphrase: passphrase ?? '' }
  for (;;) {
    const keys = passphrase === undefined ? generateKeyPairSync('ed25519') : generateKeyPairSync('ed25519', encrypted)
    if (!(parseKey(keys.private, passphrase) instanceof Error)) return keys
  }
}

/** An SSH server that forwards connections, and does nothing else; on the loopback interface. */
export class SshServer implements AsyncDisposable {
  readonly host = '127.0.0.1'
  /** Its first key, in the form of OpenSSH. */
  readonly publicKey: string
  /** Of that key, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string
  /** `host:port` of each connection that was asked for. */
  readonly forwarded: string[] = []
  /** Methods by which clients tried to log in. */
  readonly attempts: string[] = []
  /** Logins that were accepted. */
  logins = 0
  readonly #options: SshServerOptions
  readonly #server: Server
  readonly #parse: (key: string) => ParsedKey
  readonly #connections = new Set<Connection>()
  readonly #sockets = new Set<Socket>()

  private constructor(ssh2: typeof import('ssh2'), options: SshServerOptions, hostKeys: readonly string[]) {
    const { parseKey } = ssh2.utils
    this.#options = options
    this.#parse = (key) => {
      const parsed = parseKey(key)
      if (parsed instanceof Error) throw parsed
      return parsed
    }
    const first = this.#parse(hostKeys[0] ?? '')
    const key = first.getPublicSSH()
    this.publicKey = `${first.type} ${key.toString('base64')}`
    this.fingerprint = `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
    this.#server = new ssh2.Server({ hostKeys: [...hostKeys] }, (connection) => this.#accept(connection))
  }

  static async start(options: SshServerOptions = {}): Promise<SshServer> {
    // Most tests need none. It is CommonJS, whose names are not all seen from here.
    const hostKeys = options.hostKeys ?? [(await sshKeys()).private]
    const server = new SshServer((await import('ssh2')).default, options, hostKeys)
    server.#server.listen(0, server.host)
    await once(server.#server, 'listening')
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The keys of `security.ssh` that log in by password. */
  get login(): { readonly [key: string]: unknown } {
    const { username = USERNAME, password } = this.#options
    return { host: this.host, port: this.port, username, password, fingerprint: this.fingerprint }
  }

  /** Connections of clients that are open. */
  get connections(): number {
    return this.#connections.size
  }

  /** Breaks all connections off, as a host does that dies. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cutAll()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(connection: Connection): void {
    const { _sock: socket } = connection as unknown as { readonly _sock: Socket }
    this.#sockets.add(socket.setNoDelay(true))
    this.#connections.add(connection)
    connection
      .on('authentication', (attempt) => this.#authenticate(attempt))
      .on('tcpip', (accept, reject, { destIP, destPort }) => {
        this.forwarded.push(`${destIP}:${destPort}`)
        const host = this.#options.hosts?.[destIP] ?? destIP
        const target = connect({ host, port: destPort, noDelay: true })
        target.once('error', () => reject())
        target.once('connect', () => {
          const channel = accept()
          pipeline(channel, target, channel).catch(() => channel.close())
        })
      })
      .on('error', () => {})
      .on('close', () => {
        this.#connections.delete(connection)
        this.#sockets.delete(socket)
      })
  }

  #authenticate(attempt: AuthContext): void {
    const { username = USERNAME, password, asks = 'password', authorizedKey } = this.#options
    this.attempts.push(attempt.method)
    const decide = (isRight: boolean): void => {
      if (isRight && attempt.username === username) {
        this.logins++
        return attempt.accept()
      }
      const passwords = password === undefined ? [] : [asks]
      attempt.reject(authorizedKey === undefined ? passwords : ['publickey', ...passwords])
    }
    if (attempt.method === 'publickey' && authorizedKey !== undefined) {
      const key = this.#parse(authorizedKey)
      const isKey = key.getPublicSSH().equals(attempt.key.data)
      return decide(
        isKey && (!attempt.signature || key.verify(attempt.blob ?? '', attempt.signature, attempt.hashAlgo)),
      )
    }
    if (attempt.method === 'keyboard-interactive' && asks === attempt.method) {
      return attempt.prompt([{ prompt: 'Password: ', echo: false }], ([answer]) => decide(answer === password))
    }
    decide(attempt.method === 'password' && asks === attempt.method && attempt.password === password)
  }
}
