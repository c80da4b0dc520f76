import { isNebulaError, NebulaError } from '@nebula/core'
import type { Format, Preamble } from '@nebula/formats'
import type { ByteStream } from './byte-stream.ts'
import { compressionOf, decompressedStream, rangeStream, readFully } from './byte-stream.ts'
import type { OpenFile } from './store.ts'

const LONGEST_PREAMBLE = 64 * 1024 * 1024
const GROWTH = 8

/** The first bytes of a file. */
export interface Head {
  readonly bytes: Uint8Array
  /** They are all there are. */
  readonly complete: boolean
  readonly preamble: Preamble
}

/** The content of a file from `from` on, unpacked when its name says that it is packed; up to `to`. */
export async function contentStream(file: OpenFile, path: string, from: number, to?: number): Promise<ByteStream> {
  const compression = compressionOf(path)
  if (!compression) return rangeStream(file, from, to)
  const stream = decompressedStream(file, compression, path)
  await skip(stream, from)
  return stream
}

async function skip(stream: ByteStream, bytes: number): Promise<void> {
  const buffer = new Uint8Array(Math.min(bytes, 64 * 1024))
  for (let left = bytes; left > 0;) {
    const read = await stream.read(buffer.subarray(0, left))
    if (read === 0) return
    left -= read
  }
}

/** Reads the first `bytes` of a file, and more where its preamble is longer. Throws `data_invalid`, with the path. */
export async function readHead(file: OpenFile, path: string, format: Format, bytes: number): Promise<Head> {
  const stream = await contentStream(file, path, 0)
  try {
    let buffer = new Uint8Array(bytes)
    let filled = await readFully(stream, buffer)
    for (;;) {
      const head = buffer.subarray(0, filled)
      const complete = filled < buffer.length
      const preamble = format.preamble(head, complete)
      if (preamble) return { bytes: head, complete, preamble }
      if (buffer.length >= LONGEST_PREAMBLE) throw tooLong()
      const larger = new Uint8Array(Math.min(LONGEST_PREAMBLE, buffer.length * GROWTH))
      larger.set(buffer)
      filled += await readFully(stream, larger.subarray(filled))
      buffer = larger
    }
  } catch (error) {
    throw withPath(error, path)
  } finally {
    await stream.close()
  }
}

function tooLong(): NebulaError {
  return new NebulaError('data_invalid', {
    message: `The first line is longer than ${LONGEST_PREAMBLE} bytes.`,
    fix: 'Look for a quote that is not closed, or correct the options delimiter and quote.',
  })
}

/** What a format says of a file's content says nothing of the file. */
export function withPath(error: unknown, path: string): unknown {
  if (!isNebulaError(error, 'data_invalid') || error.place !== undefined) return error
  const { code, message, fix, cause } = error
  return new NebulaError(code, { message: `${path}: ${message}`, fix, cause, place: path })
}
