import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { MongoServer } from './mongo.ts'
import { javaProgram, standInClassPath } from './mongo-stand-in-program.ts'

/** What a stand-in may be told. */
export interface StandInOptions {
  /** Of the loopback interface; 0 is a free one. */
  readonly port?: number
  /** The largest heap, as Java writes it. */
  readonly heap?: string
}

/** Little of its work is worth the optimizing compiler, whose threads would take the processor from the tests. */
const FLAGS = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dslf4j.internal.verbosity=ERROR']

/** Starts mongo-java-server. It ends with this process, however the process ends. */
export async function mongoStandIn({ port = 0, heap = '1g' }: StandInOptions = {}): Promise<MongoServer> {
  const args = [`-Xmx${heap}`, ...FLAGS, '-cp', await standInClassPath(), 'StandIn']
  const server = new StandIn(args, port)
  await server.restart()
  return server
}

class StandIn implements MongoServer {
  readonly kind = 'stand-in'
  readonly replicaSet = false
  readonly version = '4.4.0'
  port: number
  readonly #args: readonly string[]
  #process: JavaProcess | undefined

  constructor(args: readonly string[], port: number) {
    this.#args = args
    this.port = port
  }

  get url(): string {
    return `mongodb://127.0.0.1:${this.port}/?directConnection=true`
  }

  get pid(): number | undefined {
    return this.#process?.isRunning === true ? this.#process.pid : undefined
  }

  kill(signal: NodeJS.Signals): void {
    if (!this.#process?.isRunning) return
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') this.#process.signal(signal)
    else this.#process.tell('down')
  }

  async restart(): Promise<void> {
    if (this.#process?.isRunning) {
      this.#process.tell('down')
      this.#process.tell('up')
    } else this.#process = new JavaProcess([...this.#args, String(this.port)])
    this.port = await this.#process.listening()
  }

  async stop(): Promise<void> {
    await this.#process?.end()
  }
}

/** A running `StandIn.java`; neither it nor its watchdog keeps this process alive. */
class JavaProcess {
  readonly #child: ChildProcess
  readonly #lines: Interface
  readonly #failed: Promise<Error>
  #log = ''

  constructor(args: readonly string[]) {
    const program = javaProgram('java')
    const child = spawn(program, args, { cwd: '/', detached: true, stdio: 'pipe' })
    child.unref()
    for (const stream of [child.stdin, child.stdout, child.stderr]) unref(stream)
    child.stdin.on('error', () => {})
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#log = `${this.#log}${text}`.slice(-4096)))
    this.#child = child
    this.#lines = createInterface(child.stdout)
    this.#failed = new Promise((resolve) => {
      child.on('error', (cause) => resolve(new Error(`${program} did not start: ${cause.message}`, { cause })))
      child.on('close', () => resolve(new Error(`the MongoDB stand-in ended:\n${this.#log.trim()}`)))
    })
    if (child.pid !== undefined) watch(child.pid, this.#failed)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get isRunning(): boolean {
    const { pid, exitCode, signalCode } = this.#child
    return pid !== undefined && exitCode === null && signalCode === null
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  tell(order: 'down' | 'up'): void {
    this.#child.stdin?.write(`${order}\n`)
  }

  /** Resolves when it listens, with the port. */
  async listening(): Promise<number> {
    this.#child.ref()
    const said = await Promise.race([once(this.#lines, 'line'), this.#failed])
    this.#child.unref()
    if (said instanceof Error) throw said
    return Number(String(said[0]).replace('listening ', ''))
  }

  async end(): Promise<void> {
    this.#child.ref()
    this.#child.kill('SIGKILL')
    await this.#failed
  }
}

/** Kills a server whose parent is gone and that cannot see it, because it is frozen. */
function watch(pid: number, ended: Promise<unknown>): void {
  const child = spawn('sh', ['-c', 'read -r _; kill -KILL "$0"', String(pid)], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.unref()
  unref(child.stdin)
  void ended.then(() => child.kill('SIGKILL'))
}

/** Streams to and from children are sockets, which their types do not say. */
function unref(stream: object): void {
  if ('unref' in stream && typeof stream.unref === 'function') stream.unref()
}
