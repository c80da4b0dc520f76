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
  const previews = new Previews(options.rows)
  try {
    const destination = { connector: memory(previews), config: BaseConfig.parse({}) }
    // Not every source counts a limit behind a condition: such a run ends when enough rows came.
    const limited = ({ limit, ...own }: StreamOptions): StreamOptions => ({
      ...own,
      limit: own.where === undefined ? Math.min(limit ?? options.rows, options.rows) : undefined,
      maxErrors: ANY_NUMBER,
    })
    const streams = Object.entries(options.streams ?? {}).map(([name, own]) => [name, own && limited(own)] as const)
    const pipeline = {
      name: 'preview',
      stateFolder,
      source,
      destination,
      onStreamError: 'stop' as const,
      defaults: limited(options.defaults ?? {}),
      streams: Object.fromEntries(streams),
      only: options.only,
    }
    const report = await runPipeline(pipeline, { signal: previews.enough })
    return report.streams.map((stream) => previewOf(stream, previews))
  } finally {
    await rm(stateFolder, { recursive: true, force: true })
  }
}

interface Preview {
  readonly schema: Schema
  readonly rows: (string | null)[][]
}

/** What came so far, and the end of the run once it is enough of every stream. */
class Previews {
  readonly #limit: number
  readonly #byStream = new Map<string, Preview>()
  readonly #stop = new AbortController()

  constructor(limit: number) {
    this.#limit = limit
  }

  get enough(): AbortSignal {
    return this.#stop.signal
  }

  begin(stream: string, schema: Schema): void {
    this.#byStream.set(stream, { schema, rows: [] })
  }

  /** Rows of a stream that are still wanted. */
  wanted(stream: string): number {
    return this.#limit - (this.#byStream.get(stream)?.rows.length ?? 0)
  }

  add(stream: string, rows: (string | null)[][]): void {
    this.#byStream.get(stream)?.rows.push(...rows.slice(0, this.wanted(stream)))
    if ([...this.#byStream.keys()].every((name) => this.wanted(name) <= 0)) this.#stop.abort()
  }

  of(stream: string): Preview {
    return this.#byStream.get(stream) ?? { schema: { fields: [] }, rows: [] }
  }
}

function previewOf({ stream, status, rejected, error }: Report['streams'][number], previews: Previews): StreamPreview {
  if (error && status !== 'interrupted') throw new NebulaError(error.code as ErrorCode, { ...error, stream })
  const { schema, rows } = previews.of(stream)
  return { stream, columns: schema.fields.map(({ name, type }) => ({ name, type: typeName(type) })), rows, rejected }
}

function memory(previews: Previews): Endpoint['connector'] {
  const driver: DestinationDriver = {
    accept: (_, schema) => acceptValues(schema),
    async prepare(run) {
      for (const { request, schema } of run.streams) previews.begin(request.stream, schema)
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

function memoryWriter({ stream: { request } }: WriteTask, previews: Previews): Writer {
  let rows: (string | null)[][] = []
  const keep = (): void => {
    previews.add(request.stream, rows)
    rows = []
  }
  return {
    async write(batch, from, to) {
      const wanted = previews.wanted(request.stream) - rows.length
      rows.push(...texts(batch, from, Math.min(to, from + Math.max(0, wanted))))
      if (rows.length >= previews.wanted(request.stream)) keep()
      return []
    },
    async commit() {
      keep()
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
