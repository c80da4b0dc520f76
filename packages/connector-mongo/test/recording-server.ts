import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { Document } from 'mongodb'
import { BSON } from 'mongodb'

/** A command as the driver sent it; `documents` are those of its section of kind 1, byte by byte. */
export interface Recorded {
  readonly command: Document
  readonly documents: readonly Buffer[]
}

/** The answer to a command; `cut` breaks the connection off, `none` never comes. */
export type Answer = (recorded: Recorded) => Document | 'cut' | 'none'

const OP_REPLY = 1
const OP_QUERY = 2004
const OP_MSG = 2013

/**
 * Says that it is the primary of a replica set, records what the driver sends, and gives the answers of a test: no
 * MongoDB, but the bytes that one would see.
 */
export class RecordingServer implements AsyncDisposable {
  readonly recorded: Recorded[] = []
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => this.#serve(socket))
  readonly #answer: Answer

  readonly #limits: Document
  readonly #host: string

  private constructor(answer: Answer, limits: Document, host: string) {
    this.#answer = answer
    this.#limits = limits
    this.#host = host
  }

  /** In its answer to `hello`, `limits` replace those of a MongoDB, and `host` is the name of the set's one member. */
  static async start(answer: Answer, limits: Document = {}, host = '127.0.0.1'): Promise<RecordingServer> {
    const server = new RecordingServer(answer, limits, host)
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get url(): string {
    return `mongodb://127.0.0.1:${this.port}/recorded?directConnection=true`
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    let bytes = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      for (let length = lengthOf(bytes); length > 0; length = lengthOf(bytes)) {
        const reply = this.#reply(bytes.subarray(0, length))
        bytes = bytes.subarray(length)
        if (reply === 'cut') socket.destroy()
        else if (reply !== 'none') socket.write(reply)
      }
    })
  }

  #reply(message: Buffer): Buffer | 'cut' | 'none' {
    const [id, kind] = [message.readInt32LE(4), message.readInt32LE(12)]
    const recorded = kind === OP_QUERY ? queryOf(message) : messageOf(message)
    const answer = this.#answerTo(recorded)
    if (answer === 'cut' || answer === 'none') return answer
    const body = BSON.serialize({ ok: 1, ...answer })
    const head = kind === OP_QUERY ? replyHead() : Buffer.alloc(5)
    const start = Buffer.alloc(16)
    start.writeInt32LE(16 + head.length + body.length, 0)
    start.writeInt32LE(id, 8)
    start.writeInt32LE(kind === OP_QUERY ? OP_REPLY : OP_MSG, 12)
    return Buffer.concat([start, head, body])
  }

  #answerTo(recorded: Recorded): ReturnType<Answer> {
    const [name = ''] = Object.keys(recorded.command)
    if (/^(hello|ismaster)$/i.test(name)) return this.#hello()
    if (name === 'endSessions') return {}
    this.recorded.push(recorded)
    return this.#answer(recorded)
  }

  #hello(): Document {
    const address = `${this.#host}:${this.port}`
    const primary = { helloOk: true, ismaster: true, isWritablePrimary: true, setName: 'recorded', setVersion: 1 }
    const limits = { maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 }
    const versions = { minWireVersion: 0, maxWireVersion: 21, logicalSessionTimeoutMinutes: 30 }
    return {
      ...primary,
      ...limits,
      ...this.#limits,
      ...versions,
      hosts: [address],
      me: address,
      primary: address,
      localTime: new Date(0),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

function lengthOf(bytes: Buffer): number {
  const length = bytes.length < 4 ? 0 : bytes.readInt32LE(0)
  return bytes.length < length ? 0 : length
}

function replyHead(): Buffer {
  const head = Buffer.alloc(20)
  head.writeInt32LE(1, 16)
  return head
}

function queryOf(message: Buffer): Recorded {
  const name = message.indexOf(0, 20)
  return { command: BSON.deserialize(message.subarray(name + 9)), documents: [] }
}

function messageOf(message: Buffer): Recorded {
  let command: Document = {}
  const documents: Buffer[] = []
  for (let at = 20; at < message.length;) {
    const kind = message[at++]
    const end = at + message.readInt32LE(at)
    if (kind === 0) command = BSON.deserialize(message.subarray(at, end))
    else
      for (let from = message.indexOf(0, at + 4) + 1; from < end; from += message.readInt32LE(from))
        documents.push(message.subarray(from, from + message.readInt32LE(from)))
    at = end
  }
  return { command, documents }
}
