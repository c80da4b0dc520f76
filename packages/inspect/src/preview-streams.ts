import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {
  Acceptance,
  DestinationDriver,
  ErrorCode,
  Field,
  LogicalType,
  Problem,
  RecordBatch,
  Schema,
  WriteTask,
  Writer,
} from '@nebula/core'
import { BaseConfig, BufferPool, BytesBuilder, formatColumn, NebulaError, typeName, utf8, valueAt } from '@nebula/core'
import type { Endpoint, Pipeline, Report, StreamOptions } from '@nebula/runtime'
import { runPipeline } from '@nebula/runtime'

/** The first rows of a stream. JSON. */
export interface StreamPreview {
  readonly stream: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Canonical texts, which keep every value exactly; null is null. */
  readonly rows: readonly (readonly (string | null)[])[]
  /** Of the rows that were read, so many could not be. */
  readonly rejected: number
}

export interface PreviewOptions extends Pick<Pipeline, 'defaults' | 'streams' | 'only'> {
  /** At most so many of each stream. */
  readonly rows: number
}

/** More rejected rows than anybody previews. */
const ANY_NUMBER = 1_000_000

/**
 * The first rows of the streams as a run would deliver them: a run into memory of at most so many rows, which the source
 * is told, so that it reads little. Errors of single streams are thrown.
 */
export async function previewStreams(source: Endpoint, options: PreviewOptions): Promise<StreamPreview[]> {
  const stateFolder = await mkdtemp(join(tmpdir(), 'nebula-preview-'))
  const previews = new Map<string, Preview>()
  try {
    const destination = { connector: memory(previews), config: BaseConfig.parse({}) }
    const limited = (own: StreamOptions): StreamOptions => ({
      ...own,
      limit: Math.min(own.limit ?? options.rows, options.rows),
      maxErrors: ANY_NUMBER,
    })
    const streams = Object.entries(options.streams ?? {}).map(([name, own]) => [name, own && limited(own)] as const)
    const report = await runPipeline({
      name: 'preview',
      stateFolder,
      source,
      destination,
      onStreamError: 'stop',
      defaults: limited(options.defaults ?? {}),
      streams: Object.fromEntries(streams),
      only: options.only,
    })
    return report.streams.map((stream) => previewOf(stream, previews.get(stream.stream)))
  } finally {
    await rm(stateFolder, { recursive: true, force: true })
  }
}

interface Preview {
  readonly schema: Schema
  readonly rows: (string | null)[][]
}

function previewOf({ stream, rejected, error }: Report['streams'][number], found: Preview | undefined): StreamPreview {
  if (error) throw new NebulaError(error.code as ErrorCode, { ...error, stream })
  const { schema, rows } = found ?? { schema: { fields: [] }, rows: [] }
  return { stream, columns: schema.fields.map(({ name, type }) => ({ name, type: typeName(type) })), rows, rejected }
}

function memory(previews: Map<string, Preview>): Endpoint['connector'] {
  const driver: DestinationDriver = {
    accept: (_, schema) => acceptValues(schema),
    async prepare(run) {
      for (const { request, schema } of run.streams) previews.set(request.stream, { schema, rows: [] })
    },
    async writer(task) {
      return memoryWriter(task, previews)
    },
  }
  return { contract: 1, name: 'preview', version: '0', config: BaseConfig, destination: () => driver }
}

/** Every value in the type that it has, if that has a text; else as its text. */
function acceptValues({ fields }: Schema): Acceptance {
  const columns = fields.map((field) => {
    const as = [field.type, ...(field.offers ?? [])].find(hasText) ?? utf8
    return { as, type: typeName(as), fidelity: 'exact' as const }
  })
  const problems = fields.flatMap((field): Problem[] => {
    if ([field.type, ...(field.offers ?? [])].some(hasText)) return []
    return [{ code: 'unsupported', message: `column ${field.name}: ${typeName(field.type)} has no text form` }]
  })
  return { columns, ddl: [], guarantee: 'at_least_once', problems }
}

function hasText({ kind }: LogicalType): boolean {
  return kind !== 'native' && kind !== 'list' && kind !== 'struct'
}

function memoryWriter({ stream }: WriteTask, previews: Map<string, Preview>): Writer {
  let rows: (string | null)[][] = []
  return {
    async write(batch, from, to) {
      rows.push(...texts(batch, from, to))
      return []
    },
    async commit() {
      previews.get(stream.request.stream)?.rows.push(...rows)
      rows = []
    },
    async abort() {
      rows = []
    },
  }
}

function texts(batch: RecordBatch, from: number, to: number): (string | null)[][] {
  const out = new BytesBuilder(utf8, new BufferPool(Infinity))
  const columns = batch.schema.fields.map((_: Field, index): (string | null)[] => {
    formatColumn(batch.column(index), out, from, to)
    const column = out.finish()
    return Array.from({ length: to - from }, (__, row) => valueAt(column, row) as string | null)
  })
  return Array.from({ length: to - from }, (_, row) => columns.map((column) => column[row] ?? null))
}
