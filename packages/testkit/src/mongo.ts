import { whyNoContainer } from './container.ts'
import { mongoContainer } from './mongo-container.ts'
import { mongoStandIn } from './mongo-stand-in.ts'

/** What a test may ask of its MongoDB. */
export interface MongoOptions {
  /** Of the loopback interface. A free one if left out. */
  readonly port?: number
  /** The largest heap of the stand-in, as Java writes it; 1g if left out. */
  readonly heap?: string
  /** Whether the server is to be this process's own, which may be frozen and killed: never that of `MONGO_URL`. */
  readonly own?: boolean
}

/** A running MongoDB, of this process alone unless it came from `MONGO_URL`. */
export interface MongoServer {
  /** Of a member of a replica set, the connection goes to this one alone, so that a proxy before it sees everything. */
  readonly url: string
  /** A stand-in has neither transactions nor sessions, views, validators, capped collections, nor users. */
  readonly kind: 'real' | 'stand-in'
  /** Whether it has transactions, and an oplog that drivers can follow by `watch` on databases. */
  readonly replicaSet: boolean
  /** As `buildInfo` has it, such as 7.0.14. */
  readonly version: string
  readonly port: number
  /** Of the server, where it is a process of this machine that this process started and that runs. */
  readonly pid: number | undefined
  /**
   * SIGSTOP and SIGCONT freeze the server and wake it. Any other signal takes its port, its connections and its cursors,
   * and leaves its data, as a journal does; the data of a stand-in is lost where its process is killed by `pid`.
   */
  kill(signal: NodeJS.Signals): void
  /** Starts the server again, on the same port, after it was killed. */
  restart(): Promise<void>
  /** Ends the server and deletes its data. May be called twice. */
  stop(): Promise<void>
}

const REMEDY =
  'Set MONGO_URL, start Docker and install testcontainers, or install a JDK, 17 or newer, and Maven ' +
  '(Debian: apt-get install default-jdk-headless maven).'

/**
 * Gives a MongoDB on the loopback interface: the one of `MONGO_URL`; else, where Docker answers and testcontainers is
 * installed, a replica set of one member in a container of `MONGO_IMAGE`, by default mongo:7; else a stand-in,
 * mongo-java-server, which needs a JDK and, the first time, Maven. With `MONGO_IMAGE` set the stand-in will not do.
 * The server ends with this process, however the process ends.
 */
export async function mongo(options: MongoOptions = {}): Promise<MongoServer> {
  const url = process.env['MONGO_URL'] ?? ''
  if (url !== '' && options.own !== true) return await given(url)
  const image = process.env['MONGO_IMAGE'] ?? ''
  const noContainer = await whyNoContainer()
  if (noContainer === undefined) return await mongoContainer(image === '' ? 'mongo:7' : image, options.port)
  if (image !== '') throw new Error(`No MongoDB from MONGO_IMAGE: ${noContainer}.`)
  try {
    return await mongoStandIn(options)
  } catch (cause) {
    const missing = `MONGO_URL is not set, ${noContainer}, and ${(cause as Error).message}`
    throw new Error(`No MongoDB for tests: ${missing}. ${REMEDY}`, { cause })
  }
}

/** The user's own server is used, never signalled or stopped. */
async function given(url: string): Promise<MongoServer> {
  const refuse = (): never => {
    throw new Error('The server of MONGO_URL cannot be killed. Ask for one of your own: mongo({ own: true }).')
  }
  const { MongoClient } = await import('mongodb')
  await using client = new MongoClient(url)
  const admin = client.db('admin')
  const hello = await admin.command({ hello: 1 })
  const { version } = await admin.command({ buildInfo: 1 })
  return {
    url,
    kind: hello['logicalSessionTimeoutMinutes'] === undefined ? 'stand-in' : 'real',
    replicaSet: hello['setName'] !== undefined || hello['msg'] === 'isdbgrid',
    version: String(version),
    port: client.options.hosts[0]?.port ?? 27017,
    pid: undefined,
    kill: refuse,
    restart: refuse,
    stop: async () => {},
  }
}
