import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ContainerRuntimeClient, StartedTestContainer } from 'testcontainers'

/** What runs in a container. */
export interface ContainerOptions {
  readonly image: string
  readonly command: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** On which it listens, in the container and outside: a server may have to name it to its clients. */
  readonly port: number
}

/** Image, and layers that are not there yet, may have to be pulled. */
const START_TIMEOUT_MS = 120_000
/** Docker's answer where a container does not run. */
const CONFLICT = 409

/** Says why no container can be had here; undefined where one can. testcontainers is loaded where there is an engine. */
export async function whyNoContainer(): Promise<string | undefined> {
  if (!hasEngine()) return 'there is no Docker engine'
  try {
    const { getContainerRuntimeClient } = await import('testcontainers')
    await getContainerRuntimeClient()
    return undefined
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND'
    return missing ? 'testcontainers, which would ask Docker for one, is not installed' : 'no Docker engine answers'
  }
}

/** Where an engine listens, if there is one; to load testcontainers takes longer than to look. */
function hasEngine(): boolean {
  if ((process.env['DOCKER_HOST'] ?? '') !== '') return true
  const runtime = process.env['XDG_RUNTIME_DIR'] ?? `/run/user/${process.getuid?.() ?? 0}`
  const folders = ['/var/run', runtime, join(homedir(), '.docker/run'), join(homedir(), '.docker/desktop')]
  return folders.some((folder) => existsSync(join(folder, 'docker.sock')))
}

type DockerContainer = ReturnType<ContainerRuntimeClient['container']['getById']>

/** A server in a container; testcontainers removes it when this process is gone. */
export class Container {
  readonly host: string
  readonly #started: StartedTestContainer
  readonly #docker: DockerContainer
  #isFrozen = false
  /** What the engine was asked to do, in this order. */
  #asked: Promise<void> = Promise.resolve()

  private constructor(started: StartedTestContainer, docker: DockerContainer) {
    // The proxy of Docker may listen on IPv4 alone.
    this.host = started.getHost() === 'localhost' ? '127.0.0.1' : started.getHost()
    this.#started = started
    this.#docker = docker
  }

  /** Resolves when the port accepts connections, which a server may do before it is ready. */
  static async start({ image, command, environment = {}, port }: ContainerOptions): Promise<Container> {
    const { GenericContainer, getContainerRuntimeClient } = await import('testcontainers')
    const started = await new GenericContainer(image)
      .withCommand([...command])
      .withEnvironment(environment)
      .withExposedPorts({ container: port, host: port })
      .withStartupTimeout(START_TIMEOUT_MS)
      .start()
    const { container } = await getContainerRuntimeClient()
    return new Container(started, container.getById(started.getId()))
  }

  /** Freezes all of its processes by SIGSTOP, wakes them by SIGCONT; any other signal goes to the first, and ends all. */
  kill(signal: NodeJS.Signals): void {
    if (signal !== 'SIGSTOP') this.#wake()
    if (signal === 'SIGCONT' || this.#isFrozen) return
    this.#isFrozen = signal === 'SIGSTOP'
    this.#ask(() => (signal === 'SIGSTOP' ? this.#docker.pause() : this.#docker.kill({ signal })))
  }

  /** Starts it again with its files, on the same port. */
  async restart(): Promise<void> {
    this.#wake()
    this.#ask(() => this.#docker.restart({ t: 0 }))
    await this.#asked
  }

  async stop(): Promise<void> {
    this.#wake()
    await this.#asked.catch(() => {})
    await this.#started.stop()
  }

  /** A frozen container can be neither killed nor stopped. */
  #wake(): void {
    if (!this.#isFrozen) return
    this.#isFrozen = false
    this.#ask(() => this.#docker.unpause())
  }

  #ask(act: () => Promise<unknown>): void {
    this.#asked = this.#asked.then(act).then(
      () => {},
      (error: unknown) => {
        if ((error as { statusCode?: number }).statusCode !== CONFLICT) throw error
      },
    )
    this.#asked.catch(() => {})
  }
}
