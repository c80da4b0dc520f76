import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { joinDocuments } from '@nebula/formats'
import type { PipelinePlan } from '@nebula/inspect'
import { planPipeline } from '@nebula/inspect'
import type { Pipeline, Report } from '@nebula/runtime'
import { loadPipeline, runPipeline } from '@nebula/runtime'
import { createDatabase, memoryFolder } from '@nebula/testkit'
import { MongoClient } from 'mongodb'
import { inject, onTestFinished } from 'vitest'
import '../src/index.ts'
import { writeRaw } from '../src/raw-write.ts'

/** A folder and a database of the test's own, between which pipelines run; both are gone when the test is finished. */
export class RoutePlace {
  readonly folder: string
  /** Of the database. */
  readonly url: string
  readonly name: string
  readonly client: MongoClient
  #pipelines = 0

  private constructor(folder: string, name: string) {
    const url = new URL(inject('mongo').url)
    url.pathname = `/${name}`
    if (!url.searchParams.has('authSource') && url.username !== '') url.searchParams.set('authSource', 'admin')
    this.folder = folder
    this.name = name
    this.url = url.href
    this.client = new MongoClient(inject('mongo').url)
  }

  static async create(): Promise<RoutePlace> {
    const folder = await mkdtemp(join(memoryFolder(), 'nebula-mongo-'))
    const place = new RoutePlace(folder, `nebula_route_${crypto.randomUUID().slice(0, 12)}`)
    onTestFinished(async () => {
      await place.client.db(place.name).dropDatabase()
      await place.client.close()
      await rm(folder, { recursive: true, force: true })
    })
    return place
  }

  /** A database of PostgreSQL, empty. */
  async postgres(): Promise<string> {
    return createDatabase({ url: inject('postgres')['18'] })
  }

  /** Each is one of its own. */
  async pipeline(pipeline: object): Promise<Pipeline> {
    const file = join(this.folder, `pipeline-${this.#pipelines++}.yaml`)
    await writeFile(file, JSON.stringify(pipeline))
    return loadPipeline(file, { environment: {} })
  }

  /** Throws the problems. */
  async plan(pipeline: object): Promise<PipelinePlan> {
    const plan = await planPipeline(await this.pipeline(pipeline))
    throwAny(plan.problems)
    return plan
  }

  /** Throws what its streams fail with. */
  async run(pipeline: object): Promise<Report> {
    const report = await runPipeline(await this.pipeline(pipeline))
    throwAny(report.streams.flatMap(({ error }) => error ?? []))
    return report
  }

  /** Inserts documents byte by byte, as they are. */
  async insert(collection: string, documents: readonly Uint8Array[]): Promise<void> {
    const link = { client: this.client, signal: new AbortController().signal }
    const section = joinDocuments(documents)
    const { errors } = await writeRaw(link, { database: this.name, collection }, 'insert', section.bytes)
    throwAny(errors)
  }

  /** The documents of a collection as they are stored, in order of their bytes: that of a stand-in knows no NaN. */
  async raw(collection: string): Promise<Buffer[]> {
    const found = await this.client.db(this.name).collection(collection).find({}, { raw: true }).toArray()
    return (found as unknown as Buffer[]).sort((a, b) => Buffer.compare(a, b))
  }
}

function throwAny(problems: readonly object[]): void {
  if (problems.length > 0) throw new Error(JSON.stringify(problems))
}
