import type {
  Catalog,
  Context,
  Json,
  Partition,
  Plan,
  PreviousPlan,
  ReadStream,
  ReadTask,
  RecordBatch,
  RejectedRecord,
  SourceDriver,
  StreamDefinition,
  StreamInfo,
} from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Format, FormatInference } from '@nebula/formats'
import { compressionOf } from './byte-stream.ts'
import { readHead } from './head.ts'
import type { CutOptions } from './partitions.ts'
import { cutFiles } from './partitions.ts'
import { FileReader } from './reader.ts'
import type { Store, StoredFile } from './store.ts'
import { streamFiles } from './stream-files.ts'

/** A file up to this size is read whole for its types, else its first half as much. */
const SAMPLED_WHOLE = 16 * 1024 * 1024
/** All samples of a source together: with many streams, each has less. */
const ALL_SAMPLES = 256 * 1024 * 1024
const LEAST_SAMPLE = 256 * 1024
const SMALL_HEAD = 64 * 1024

/** The files of a stream when it was planned: what proves that committed partitions still fit. */
interface FileList {
  readonly [stream: string]: readonly (readonly [path: string, etag: string])[]
}

/** Reads files of any store in any format: one stream a file, or one for the files that a pipeline defines. */
export class FileSource implements SourceDriver {
  readonly #store: Store
  readonly #format: Format
  readonly #path: string | undefined
  readonly #reader: FileReader

  /** `path`: a file, a folder or a glob; left out: only streams that the pipeline defines. */
  constructor(store: Store, format: Format, path: string | undefined) {
    this.#store = store
    this.#format = format
    this.#path = path
    this.#reader = new FileReader(store, format)
  }

  async discover(context: Context, defined: readonly StreamDefinition[]): Promise<Catalog> {
    const found = await streamFiles(this.#store, this.#format, this.#path, defined)
    const most = Math.min(SAMPLED_WHOLE, context.pool.limit / 2, ALL_SAMPLES / Math.max(1, found.size))
    const budget = Math.max(LEAST_SAMPLE, Math.floor(most))
    const streams: StreamInfo[] = []
    for (const [name, files] of found) streams.push(await this.#describe(name, files, budget, context))
    return { streams }
  }

  async plan(
    streams: readonly ReadStream[],
    partitionBytes: number,
    previous: PreviousPlan | undefined,
    context: Context,
  ): Promise<Plan> {
    const partitions: Partition[] = []
    const restart: { stream: string; reason: string }[] = []
    const proof: { [stream: string]: FileList[string] } = {}
    const defined = streams.flatMap(({ request: { stream, path } }) => (path === undefined ? [] : [{ stream, path }]))
    const listed = defined.length < streams.length ? this.#path : undefined
    const found = await streamFiles(this.#store, this.#format, listed, defined)
    for (const { request } of streams) {
      const { stream, limit } = request
      const files = found.get(stream)
      if (!files) throw gone(stream)
      const list = files.map((file) => [file.path, file.etag] as const)
      proof[stream] = list
      const before = (previous?.plan.partitions ?? []).filter((partition) => partition.stream === stream)
      const change = before.length === 0 ? undefined : changeOf(previous, stream, list)
      if (before.length > 0 && change === undefined) partitions.push(...before)
      else {
        if (change !== undefined) restart.push({ stream, reason: change })
        const options: CutOptions = { partitionBytes, whole: limit !== undefined, signal: context.signal }
        const ports = { store: this.#store, format: this.#format }
        partitions.push(...(await cutFiles(stream, files, ports, options)))
      }
    }
    return { partitions, restart, proof: proof as unknown as Json }
  }

  read(task: ReadTask, context: Context): AsyncIterable<RecordBatch> {
    return this.#reader.read(task, context)
  }

  reread(stream: ReadStream, records: readonly RejectedRecord[], context: Context): AsyncIterable<RecordBatch> {
    return this.#reader.reread(stream, records, context)
  }

  /** The columns of a stream, with types that fit a sample of its files. */
  async #describe(name: string, files: readonly StoredFile[], budget: number, context: Context): Promise<StreamInfo> {
    let left = budget
    let names: readonly string[] | undefined
    let inference: FormatInference | undefined
    try {
      for (const stored of files) {
        const bytes = sampleBytes(stored, left, budget)
        const head = await this.#head(stored, bytes)
        names ??= head.preamble.names
        refuseOther(names, head.preamble.names, stored.path)
        inference ??= this.#format.inference(names, context.pool)
        if (left > 0) inference.observe(head.bytes, head.complete, head.preamble)
        left -= head.bytes.length
      }
      const fields = inference?.fields ?? []
      const size = files.reduce((sum, file) => sum + file.size, 0)
      const packed = files.some((file) => compressionOf(file.path))
      return { name, schema: { fields }, key: [], wire: [], untyped: true, ...(packed ? {} : { bytes: size }) }
    } finally {
      inference?.free()
    }
  }

  async #head(stored: StoredFile, bytes: number): ReturnType<typeof readHead> {
    const file = await this.#store.open(stored.path)
    try {
      return await readHead(file, stored.path, this.#format, bytes)
    } finally {
      await file.close()
    }
  }
}

/** One byte more than a file has, so that reading finds its end. Behind the budget, the header must do. */
function sampleBytes({ size, path }: StoredFile, left: number, budget: number): number {
  if (left <= 0) return SMALL_HEAD
  if (!compressionOf(path) && size <= left) return size + 1
  return Math.min(left, Math.ceil(budget / 2))
}

function refuseOther(names: readonly string[], others: readonly string[], path: string): void {
  if (names.length === others.length && names.every((name, i) => name === others[i])) return
  throw new NebulaError('data_invalid', {
    message: `${path} has other columns than the first file of its stream: ${others.join(', ')} instead of ${names.join(', ')}.`,
    fix: 'Give all files of a stream the same header, or define streams of their own.',
    place: path,
  })
}

/** Why committed partitions no longer fit; undefined: no file changed. */
function changeOf(previous: PreviousPlan | undefined, stream: string, list: FileList[string]): string | undefined {
  const before = (previous?.plan.proof as unknown as FileList | undefined)?.[stream] ?? []
  const now = new Map(list)
  const then = new Map(before)
  const missing = before.find(([path]) => !now.has(path))
  if (missing) return `${missing[0]} is gone`
  const added = list.find(([path]) => !then.has(path))
  if (added) return `${added[0]} is new`
  const changed = list.find(([path, etag]) => then.get(path) !== etag)
  return changed && `${changed[0]} changed since the run began`
}

function gone(stream: string): NebulaError {
  return new NebulaError('source_changed', { message: `The file of the stream ${stream} is gone.`, stream })
}
