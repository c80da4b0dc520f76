import { setTimeout as sleep } from 'node:timers/promises'
import type { Db } from 'mongodb'
import { Container } from './container.ts'
import { freePort } from './free-port.ts'
import type { MongoServer } from './mongo.ts'

const START_TIMEOUT_MS = 60_000
const POLL_MS = 50

/** Starts a replica set of one member in a container; testcontainers must be there. */
export async function mongoContainer(image: string, askedPort?: number): Promise<MongoServer> {
  const port = askedPort ?? (await freePort())
  const command = ['mongod', '--replSet', 'nebula', '--bind_ip_all', '--port', String(port)]
  const container = await Container.start({ image, command, port })
  const server = new ReplicaSet(container, port)
  try {
    await server.initiate()
    return server
  } catch (error) {
    await server.stop()
    throw error
  }
}

class ReplicaSet implements MongoServer {
  readonly kind = 'real'
  readonly replicaSet = true
  readonly pid = undefined
  readonly port: number
  readonly url: string
  version = ''
  readonly #container: Container

  constructor(container: Container, port: number) {
    this.#container = container
    this.port = port
    this.url = `mongodb://${container.host}:${port}/?directConnection=true`
  }

  async initiate(): Promise<void> {
    const member = { _id: 0, host: `127.0.0.1:${this.port}` }
    await this.#ask((admin) => admin.command({ replSetInitiate: { _id: 'nebula', members: [member] } }))
    await this.#primary()
    const { version } = await this.#ask((admin) => admin.command({ buildInfo: 1 }))
    this.version = String(version)
  }

  kill(signal: NodeJS.Signals): void {
    this.#container.kill(signal)
  }

  async restart(): Promise<void> {
    await this.#container.restart()
    await this.#primary()
  }

  async stop(): Promise<void> {
    await this.#container.stop()
  }

  /** Resolves when it was elected; until then it may answer with errors, or break connections off. */
  async #primary(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    for (;;) {
      const hello = await this.#ask((admin) => admin.command({ hello: 1 })).catch(() => undefined)
      if (hello?.['isWritablePrimary'] === true) return
      if (Date.now() > deadline) throw new Error(`The MongoDB at ${this.url} did not become primary.`)
      await sleep(POLL_MS)
    }
  }

  async #ask<T>(question: (admin: Db) => Promise<T>): Promise<T> {
    const { MongoClient } = await import('mongodb')
    await using client = new MongoClient(this.url)
    return await question(client.db('admin'))
  }
}
