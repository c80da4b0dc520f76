import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BaseDestination, BaseSource, createContext } from '@nebula/base'
import { deepCamelKeys } from '@nebula/config'
import type { BaseConfig, BufferPool, Context, DestinationDriver, Logger, Mode, SourceDriver } from '@nebula/core'
import { BaseConfig as BaseKeys } from '@nebula/core'
import type { Endpoint, Pipeline, Report, StreamOptions } from '@nebula/runtime'
import { destinationDriver, runPipeline, sourceDriver } from '@nebula/runtime'
import { FaultProxy } from '../fault-proxy.ts'
import { memoryConnector } from '../memory/memory-connector.ts'
import { memoryFolder } from '../memory-folder.ts'
import type { Row } from '../memory/memory-connector.ts'
import { memoryDestination, MemoryTarget } from '../memory/memory-destination.ts'
import { memorySource } from '../memory/memory-source.ts'
import { expectDone } from './expect-done.ts'
import type { Keys, Subject, SubjectServer } from './subject.ts'
import type { Table } from './table.ts'
import { rowsAt } from './table-rows.ts'
import type { Tap } from './tap.ts'

/** How a check moves a table; what is left out is as a user would have it. */
export interface Move {
  /** More keys for the connector: sections of its configuration, above all. */
  readonly keys?: Keys
  readonly stream?: StreamOptions
  /** Rows of a batch; left out: as a user would have it. */
  readonly batchRows?: number
  readonly pipeline?: Partial<Pipeline>
  readonly signal?: AbortSignal
  readonly logger?: Logger
  /** Watches the drivers of the connector. */
  readonly tap?: Tap
}

/** What a check gives the drivers that it calls itself. */
export interface ContextParts {
  readonly signal?: AbortSignal
  readonly logger?: Logger
  readonly pool?: BufferPool
  readonly keys?: Keys
}

/** An empty place of a subject's system that belongs to one check, and the ways to use it. */
export class Place implements AsyncDisposable {
  readonly subject: Subject
  /** Started by the suite, and shared by its checks one after the other. */
  readonly server: SubjectServer | undefined
  /** Of the place, for anything that the check wants to keep; gone with it. */
  readonly folder: string
  /** In camelCase, unchecked. */
  readonly keys: Keys
  #runs = 0
  #destination: Promise<DestinationDriver> | undefined

  private constructor(subject: Subject, server: SubjectServer | undefined, folder: string, keys: Keys) {
    this.subject = subject
    this.server = server
    this.folder = folder
    this.keys = keys
  }

  static async create(subject: Subject, server: SubjectServer | undefined): Promise<Place> {
    const folder = await mkdtemp(join(memoryFolder(), 'nebula-place-'))
    const keys = deepCamelKeys(await subject.config({ server, folder })) as Keys
    return new Place(subject, server, folder, keys)
  }

  /** The checked configuration; keys win over those of the place. */
  config(keys: Keys = {}): BaseConfig {
    return this.subject.connector.config.parse({ ...this.keys, ...keys })
  }

  endpoint(keys: Keys = {}): Endpoint {
    return { connector: this.subject.connector, config: this.config(keys) }
  }

  /** A driver, constructed and not opened. */
  source(keys: Keys = {}): SourceDriver {
    return sourceDriver(this.endpoint(keys))
  }

  destination(keys: Keys = {}): DestinationDriver {
    return destinationDriver(this.endpoint(keys))
  }

  /** One that is open; the same each time, and closed with the place. */
  openDestination(): Promise<DestinationDriver> {
    const open = async (): Promise<DestinationDriver> => {
      const driver = this.destination()
      await driver.open?.(this.context())
      return driver
    }
    return (this.#destination ??= open())
  }

  /** What a program has of the connector: constructed, and not initialized. */
  programSource(keys: Keys = {}, logger?: Logger): BaseSource {
    const { connector, config } = this.endpoint(keys)
    const driver = (): SourceDriver => sourceDriver({ connector, config })
    return new BaseSource({ name: connector.name, config, driver, ...(logger ? { logger } : {}) })
  }

  programDestination(keys: Keys = {}, logger?: Logger): BaseDestination {
    const { connector, config } = this.endpoint(keys)
    const driver = (): DestinationDriver => destinationDriver({ connector, config })
    return new BaseDestination({ name: connector.name, config, driver, ...(logger ? { logger } : {}) })
  }

  /** What the runtime gives a driver. */
  context({ keys, signal = new AbortController().signal, ...parts }: ContextParts = {}): Context {
    return createContext({ signal, config: this.config(keys), name: this.subject.connector.name, ...parts })
  }

  /** A proxy before the server, and the keys that lead through it. */
  async proxy(keys: Keys = {}): Promise<{ proxy: FaultProxy; keys: Keys }> {
    const { server, subject } = this
    if (!server || !subject.through) throw new Error('A subject with a server needs `through`.')
    const proxy = await FaultProxy.before(`tcp://127.0.0.1:${server.port}`)
    return { proxy, keys: { ...subject.through(this.keys, proxy.port), ...keys } }
  }

  /** Makes a table in the place, by the system's own means where the subject has them. */
  async create(table: Table): Promise<void> {
    const { create } = this.subject
    if (create) await create(this.keys, table)
    else expectDone(await this.write(table))
  }

  /** What a table of the place holds, by the system's own means where the subject has them; in any order. */
  async contents(table: Table): Promise<readonly Row[]> {
    const { contents } = this.subject
    if (contents) return contents(this.keys, table)
    const { report, rows } = await this.read(table)
    expectDone(report)
    return rows
  }

  /** Moves a table from memory into the place. */
  async write(table: Table, move: Move = {}): Promise<Report> {
    const from = memoryConnector('memory', { source: () => memorySource({ streams: [table] }) })
    return this.writeFrom({ connector: from, config: BaseKeys.parse(batchKeys(move)) }, table.name, move)
  }

  /** Moves a stream of another source into the place. */
  async writeFrom(source: Endpoint, stream: string, move: Move = {}): Promise<Report> {
    const to = this.endpoint(move.keys)
    const watched = move.tap ? move.tap.endpoint(to) : to
    return this.run(source, watched, { [stream]: { mode: 'overwrite', ...move.stream } }, move)
  }

  /** Moves a stream of the place into memory; its rows are canonical texts, in the order in which they came. */
  async read(
    table: Pick<Table, 'name' | 'fields'>,
    move: Move = {},
  ): Promise<{ report: Report; rows: readonly Row[] }> {
    const target = new MemoryTarget()
    const to = memoryConnector('memory', { destination: () => memoryDestination({ target }) })
    const report = await this.readInto({ connector: to, config: BaseKeys.parse({}) }, table, move)
    return { report, rows: rowsAt(this.subject, target, table, this.streamOf(table.name)) }
  }

  /** Moves a stream of the place into another destination. */
  async readInto(destination: Endpoint, { name }: Pick<Table, 'name'>, move: Move = {}): Promise<Report> {
    const from = this.endpoint({ ...batchKeys(move), ...move.keys })
    const watched = move.tap ? move.tap.endpoint(from) : from
    return this.run(watched, destination, { [this.streamOf(name)]: { mode: 'overwrite', ...move.stream } }, move)
  }

  /** The stream in which a table that was written as `target` is read. */
  streamOf(target: string, mode: Mode = 'overwrite'): string {
    const { connector } = this.subject
    return connector.destination ? (this.destination().readBack?.(target, mode).stream ?? target) : target
  }

  /** One pipeline of the place. Runs of the same `pipeline.name` are runs of one pipeline; left out: another each time. */
  async run(
    source: Endpoint,
    destination: Endpoint,
    streams: Pipeline['streams'] & {},
    { pipeline, signal, logger }: Move = {},
  ): Promise<Report> {
    const name = `run-${++this.#runs}`
    const whole = { name, stateFolder: this.stateFolder, source, destination, streams, ...pipeline }
    return runPipeline(whole, { ...(signal ? { signal } : {}), ...(logger ? { logger } : {}) })
  }

  /** Where runs keep lock, dead letters, reports. */
  get stateFolder(): string {
    return join(this.folder, '.nebula')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#destination?.catch(() => undefined))?.close?.()
    // A run that hangs, or was given up, may still write into it.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

/** Said of the end that reads. */
function batchKeys({ batchRows }: Move): Keys {
  return batchRows === undefined ? {} : { performance: { batchSize: batchRows } }
}
