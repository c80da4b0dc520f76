import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Field, LogicalType } from '@nebula/core'
import { BaseConfig, parseType } from '@nebula/core'
import type { MemoryDestination, MemorySource, MemoryStream, Row } from '@nebula/testkit'
import { Ledger, memoryConnector, memoryDestination, memorySource } from '@nebula/testkit'
import { afterEach, beforeEach } from 'vitest'
import type { Pipeline } from '../src/index.ts'

/** A folder of its own for every test, gone afterwards. */
export function useFolder(): () => string {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nebula-runtime-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })
  return () => folder
}

/** A type by its name. */
export function typed(name: string): LogicalType {
  const type = parseType(name)
  if (!type) throw new Error(`no type ${name}`)
  return type
}

/** `id int64` as a field. */
export function field(text: string, more: Partial<Field> = {}): Field {
  const [name = '', type = 'utf8'] = text.split(' ')
  return { name, type: typed(type), nullable: true, ...more }
}

/** A stream of numbered rows: `id`, and a name that says it. */
export function numbered(name: string, count: number, more: Partial<MemoryStream> = {}): MemoryStream {
  const rows = Array.from({ length: count }, (_, i): Row => [String(i), `row ${i}`])
  return { name, fields: [field('id int64'), field('name utf8')], rows, ...more }
}

export interface Scene {
  readonly source: MemorySource
  readonly destination: MemoryDestination
  readonly folder: string
  readonly pipeline?: Partial<Pipeline>
  readonly ledger?: Ledger
  /** Of the source. */
  readonly config?: { readonly [section: string]: unknown }
  readonly destinationConfig?: { readonly [section: string]: unknown }
}

/** What fails stays failed, unless a test wants it otherwise. */
const reliability = { maxRetries: 0 }

/** A pipeline between a memory source and a memory destination. */
export function pipelineOf({
  source,
  destination,
  folder,
  pipeline,
  ledger,
  config,
  destinationConfig,
}: Scene): Pipeline {
  const from = memoryConnector('memory-source', { source: () => memorySource(source, ledger) })
  const to = memoryConnector('memory-destination', { destination: () => memoryDestination(destination) })
  return {
    name: 'shop',
    stateFolder: join(folder, '.nebula'),
    source: { connector: from, config: BaseConfig.parse({ performance: { batchSize: 10 }, reliability, ...config }) },
    destination: { connector: to, config: BaseConfig.parse({ reliability, ...destinationConfig }) },
    parallel: 1,
    ...pipeline,
  }
}
