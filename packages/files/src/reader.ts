import { throwIfAborted } from '@nebula/base'
import type {
  Column,
  Context,
  ReadStream,
  ReadTask,
  RecordBatch,
  RejectedRecord,
  Rejection,
  RowOrigin,
  Schema,
} from '@nebula/core'
import { createBatch, NebulaError } from '@nebula/core'
import type { Format, FormatBatch, FormatReader, Preamble, RowFault } from '@nebula/formats'
import type { ByteStream } from './byte-stream.ts'
import { compressionOf } from './byte-stream.ts'
import { contentStream, readHead, withPath } from './head.ts'
import { LineCounter } from './line-counter.ts'
import type { FileRange } from './partitions.ts'
import { rangeOf } from './partitions.ts'
import type { OpenContent } from './record-counter.ts'
import { RecordCounter } from './record-counter.ts'
import { rereadRecord } from './reread.ts'
import type { OpenFile, Store } from './store.ts'

const SMALL_HEAD = 64 * 1024
/** Bytes that are read at once, while the program waits, to find the line of a row. */
const COUNTED_AT_ONCE = 1024 * 1024 * 1024
/** Files whose preamble and lines are remembered. */
const REMEMBERED = 256

interface KnownFile {
  readonly preamble: Preamble
  readonly lines: LineCounter
  readonly records: RecordCounter
}

/** Reads partitions of files. What it learns of a file it keeps for the file's other partitions. */
export class FileReader {
  readonly #store: Store
  readonly #format: Format
  readonly #known = new Map<string, KnownFile>()

  constructor(store: Store, format: Format) {
    this.#store = store
    this.#format = format
  }

  /** Throws `source_changed` when the file is not the one that was planned, before the first row or after the last. */
  async *read(task: ReadTask, context: Context): AsyncGenerator<RecordBatch> {
    const range = rangeOf(task.partition)
    const file = await this.#store.open(range.file)
    try {
      await refuseChanged(file, range)
      const known = await this.#preamble(file, range)
      yield* this.#batches(file, known, task, context)
      await refuseChanged(file, range)
    } catch (error) {
      throw withPath(error, range.file)
    } finally {
      await file.close()
    }
  }

  async *#batches(file: OpenFile, known: KnownFile, task: ReadTask, context: Context): AsyncGenerator<RecordBatch> {
    const range = rangeOf(task.partition)
    const { names, size } = known.preamble
    const { schema, request } = task.stream
    const offset = range.from === 0 ? size : range.from
    const columns = columnsOf(schema, names, range.file)
    const { rows, bytes } = task.batch
    const reader = this.#format.reader({
      schema,
      columns,
      width: names.length,
      offset,
      rows,
      bytes,
      pool: context.pool,
    })
    const stream = await contentStream(file, range.file, offset, range.to ?? undefined)
    const places = new Places(this.#store, file, range, known)
    let left = request.limit ?? Infinity
    for await (const batch of parse(reader, stream, context)) {
      const ready = await this.#batch(task, batch, places, left)
      left -= ready.rows
      yield ready
      if (left <= 0) return
    }
  }

  async #batch(task: ReadTask, batch: FormatBatch, places: Places, limit: number): Promise<RecordBatch> {
    const { request, schema } = task.stream
    const limited = batch.rows > limit
    const rows = limited ? limit : batch.rows
    const end = limited ? batch.offsetOf(rows) : Infinity
    const rejected: Rejection[] = []
    for (const fault of batch.faults) if (fault.offset < end) rejected.push(await places.rejection(fault))
    return createBatch({
      stream: request.stream,
      schema,
      rows,
      rejected,
      columns: limited ? batch.columns.map((column): Column => ({ ...column, length: rows })) : batch.columns,
      place: (row) => places.now(batch.offsetOf(row)),
      origin: (row) => places.later(batch.offsetOf(row)),
      onRelease: () => batch.release(),
    })
  }

  /** Reads records by themselves, each as a batch of its own: what it has beside them says the header of their file. */
  async *reread(stream: ReadStream, records: readonly RejectedRecord[], context: Context): AsyncGenerator<RecordBatch> {
    const ports = { store: this.#store, format: this.#format }
    for (const record of records) {
      throwIfAborted(context.signal)
      const file = await this.#store.open(record.origin.path)
      try {
        const { path, etag } = await file.stat()
        const known = await this.#preamble(file, { file: path, etag, from: 0, to: null })
        const columns = columnsOf(stream.schema, known.preamble.names, path)
        yield await rereadRecord({ ...ports, ...known, file }, stream, record, { columns, pool: context.pool })
      } finally {
        await file.close()
      }
    }
  }

  async #preamble(file: OpenFile, { file: path, etag }: FileRange): Promise<KnownFile> {
    const key = `${path}\0${etag}`
    const known = this.#known.get(key)
    if (known) return known
    const { preamble } = await readHead(file, path, this.#format, SMALL_HEAD)
    if (this.#known.size >= REMEMBERED) this.#known.clear()
    const records = new RecordCounter(this.#format, preamble)
    const learned: KnownFile = { preamble, lines: new LineCounter(), records }
    this.#known.set(key, learned)
    return learned
  }
}

/** Batches of a stream of bytes, of which one chunk is read ahead. */
async function* parse(reader: FormatReader, stream: ByteStream, context: Context): AsyncGenerator<FormatBatch> {
  const stop = new AbortController()
  const signal = AbortSignal.any([context.signal, stop.signal])
  let reading = nextChunk(reader, stream, { ...context, signal })
  try {
    for (;;) {
      const bytes = await reading
      if (bytes > 0) {
        reader.filled(bytes)
        reading = nextChunk(reader, stream, { ...context, signal })
      } else reader.end()
      for (let batch = reader.next(); batch; batch = reader.next()) yield batch
      if (bytes === 0) return
    }
  } finally {
    stop.abort()
    await reading.catch(() => {})
    await stream.close()
    reader.free()
  }
}

/** Waits for memory, unless only reading on would free some; then reads. */
async function nextChunk(reader: FormatReader, stream: ByteStream, { pool, signal }: Context): Promise<number> {
  throwIfAborted(signal)
  if (!reader.gathering && pool.isFull) {
    reader.trim()
    await pool.ready(signal)
  }
  return stream.read(reader.space())
}

/** Per field of the schema, its column in the file. Throws `source_changed` for one that is not there. */
function columnsOf(schema: Schema, names: readonly string[], path: string): number[] {
  return schema.fields.map(({ name }) => {
    const column = names.indexOf(name)
    if (column >= 0) return column
    throw new NebulaError('source_changed', { message: `${path} has no column ${name} any more.`, place: path })
  })
}

async function refuseChanged(file: OpenFile, { etag }: FileRange): Promise<void> {
  const { path, etag: now } = await file.stat()
  if (now === etag) return
  throw new NebulaError('source_changed', { message: `${path} changed since the run was planned.`, place: path })
}

/** Where rows of a file are. */
class Places {
  readonly #store: Store
  readonly #file: OpenFile
  readonly #path: string
  readonly #etag: string
  readonly #known: KnownFile

  constructor(store: Store, file: OpenFile, { file: path, etag }: FileRange, known: KnownFile) {
    this.#store = store
    this.#file = file
    this.#path = path
    this.#etag = etag
    this.#known = known
  }

  async rejection({ offset, code, reason, column, raw }: RowFault): Promise<Rejection> {
    const open: OpenContent = (from) => contentStream(this.#file, this.#path, from)
    const place = `${this.#path} line ${await this.#known.lines.line(offset, open)}`
    // Which record it is costs more to find, and matters only for rows that are kept.
    const origin = (): Promise<RowOrigin | undefined> => this.later(offset)
    return { code, reason, place, origin, raw, ...(column === undefined ? {} : { column }) }
  }

  /** Also after the file was closed: destinations refuse rows late. Undefined when it is another file by then. */
  async later(offset: number): Promise<RowOrigin | undefined> {
    const file = await this.#store.open(this.#path)
    try {
      return (await file.stat()).etag === this.#etag ? await this.#origin(file, offset) : undefined
    } finally {
      await file.close()
    }
  }

  /** The same for people, and at once. */
  now(offset: number): string {
    const read = this.#store.readSync?.bind(this.#store)
    const line =
      read && !compressionOf(this.#path)
        ? this.#known.lines.lineNow(offset, COUNTED_AT_ONCE, (buffer, position) => read(this.#path, buffer, position))
        : undefined
    return line === undefined ? `${this.#path} byte ${offset}` : `${this.#path} line ${line}`
  }

  async #origin(file: OpenFile, offset: number): Promise<RowOrigin> {
    const open: OpenContent = (from) => contentStream(file, this.#path, from)
    const record = await this.#known.records.record(offset, open)
    return { path: this.#path, line: await this.#known.lines.line(offset, open), record, byte: offset }
  }
}
