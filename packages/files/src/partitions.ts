import type { Json, Partition } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Format } from '@nebula/formats'
import { compressionOf } from './byte-stream.ts'
import { readHead } from './head.ts'
import type { OpenFile, Store, StoredFile } from './store.ts'

/** The bytes of a file that one task reads: whole records. */
export interface FileRange {
  readonly file: string
  readonly etag: string
  /** 0: behind the file's preamble. */
  readonly from: number
  /** Null: to the end. */
  readonly to: number | null
}

/** Reads the range of a partition that this source planned. */
export function rangeOf(partition: Partition): FileRange {
  return partition.range as unknown as FileRange
}

export interface CutOptions {
  readonly partitionBytes: number
  /** Cut nothing: a limited stream is one partition. */
  readonly whole: boolean
  readonly signal: AbortSignal
}

const SMALL_HEAD = 64 * 1024
const CHUNK_BYTES = 1024 * 1024

/** Cuts the files of a stream into partitions of whole records; a file of at most two partitions stays whole. */
export async function cutFiles(
  stream: string,
  files: readonly StoredFile[],
  { store, format }: { readonly store: Store; readonly format: Format },
  options: CutOptions,
): Promise<Partition[]> {
  const ranges: FileRange[] = []
  for (const file of files) {
    const cuts = isCut(file, format, options) ? await cutsOf(file, store, format, options) : []
    const { path, etag } = file
    for (const [i, from] of [0, ...cuts].entries()) ranges.push({ file: path, etag, from, to: cuts[i] ?? null })
  }
  return ranges.map((range, i) => ({
    id: `${stream}#${String(i).padStart(5, '0')}`,
    stream,
    range: range as unknown as Json,
  }))
}

function isCut(file: StoredFile, format: Format, { partitionBytes, whole }: CutOptions): boolean {
  return !whole && format.splittable && !compressionOf(file.path) && file.size > 2 * partitionBytes
}

/** Where the partitions of a file begin, but for the first. */
async function cutsOf(stored: StoredFile, store: Store, format: Format, options: CutOptions): Promise<number[]> {
  const file = await store.open(stored.path)
  try {
    const { preamble } = await readHead(file, stored.path, format, SMALL_HEAD)
    const count = Math.round((stored.size - preamble.size) / options.partitionBytes)
    const step = (stored.size - preamble.size) / count
    const targets = Array.from({ length: count - 1 }, (_, i) => Math.round(preamble.size + step * (i + 1)))
    const splitter = format.splitter(preamble.size, targets)
    await scan(file, preamble.size, splitter, options.signal)
    return splitter.cuts.filter((cut) => cut < stored.size)
  } finally {
    await file.close()
  }
}

/** Feeds a file to a splitter, reading one chunk ahead. */
async function scan(
  file: OpenFile,
  from: number,
  splitter: { readonly done: boolean; push(chunk: Uint8Array): void },
  signal: AbortSignal,
): Promise<void> {
  // A Buffer, so that the splitter's search is the native one.
  let [current, next] = [Buffer.allocUnsafeSlow(CHUNK_BYTES), Buffer.allocUnsafeSlow(CHUNK_BYTES)]
  let at = from
  let reading = file.read(current, at)
  for (;;) {
    const bytes = await reading
    if (bytes === 0 || splitter.done) return
    if (signal.aborted) throw new NebulaError('aborted', { message: 'Stopped while a file was cut into partitions.' })
    at += bytes
    reading = file.read(next, at)
    splitter.push(current.subarray(0, bytes))
    ;[current, next] = [next, current]
  }
}
