import { Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { NebulaError } from '@nebula/core'
import type { OpenFile } from './store.ts'

/** The bytes of a file, or of a part of it, in order. */
export interface ByteStream {
  /** Fills `buffer` from its start; returns how many bytes, 0 at the end. */
  read(buffer: Uint8Array): Promise<number>
  /** Ends what runs for the stream; the file stays open. */
  close(): Promise<void>
}

export type Compression = 'gzip' | 'zstd'

const COMPRESSIONS: Readonly<Record<string, Compression>> = { '.gz': 'gzip', '.zst': 'zstd' }

/** File name extensions of compressed files. */
export const compressedExtensions: readonly string[] = Object.keys(COMPRESSIONS)

/** The file name extension of files that are compressed so. */
export function extensionOf(compression: Compression): string {
  return compressedExtensions.find((extension) => COMPRESSIONS[extension] === compression) ?? ''
}

/** How a file is compressed, by its name; undefined: it is not. */
export function compressionOf(path: string): Compression | undefined {
  const extension = compressedExtensions.find((known) => path.toLowerCase().endsWith(known))
  return extension === undefined ? undefined : COMPRESSIONS[extension]
}

/** The bytes `from` to `to` of a file; without `to`, up to its end. */
export function rangeStream(file: OpenFile, from: number, to = Infinity): ByteStream {
  let at = from
  return {
    async read(buffer) {
      const bytes = await file.read(buffer.length <= to - at ? buffer : buffer.subarray(0, to - at), at)
      at += bytes
      return bytes
    },
    async close() {},
  }
}

const INPUT_BYTES = 256 * 1024

/** The content of a compressed file, of all its members. Throws `data_invalid` when it is damaged or cut. */
export function decompressedStream(file: OpenFile, compression: Compression, path: string): ByteStream {
  const output = unpacked(file, compression)
  let rest: Uint8Array = new Uint8Array(0)
  return {
    async read(buffer) {
      try {
        while (rest.length === 0) {
          const next = await output.next()
          if (next.done === true) return 0
          rest = next.value
        }
      } catch (cause) {
        throw damaged(cause, path, compression)
      }
      const bytes = Math.min(rest.length, buffer.length)
      buffer.set(rest.subarray(0, bytes))
      rest = rest.subarray(bytes)
      return bytes
    },
    async close() {
      await output.return(undefined)
    },
  }
}

/** Node unpacks every member of a gzip file, and of a zstd file the first frame: what it leaves is begun with anew. */
async function* unpacked(file: OpenFile, compression: Compression): AsyncGenerator<Uint8Array, undefined> {
  for (let at = 0; ;) {
    const unpack = compression === 'gzip' ? createGunzip() : createZstdDecompress()
    const input = Readable.from(chunksOf(file, at))
    // Errors of the input end the unpacking, whose reader gets them.
    input.on('error', (error) => unpack.destroy(error))
    try {
      yield* input.pipe(unpack) as AsyncIterable<Uint8Array>
    } finally {
      input.destroy()
      unpack.destroy()
    }
    at += unpack.bytesWritten
    if (compression === 'gzip' || (await file.read(new Uint8Array(1), at)) === 0) return undefined
  }
}

async function* chunksOf(file: OpenFile, from: number): AsyncGenerator<Uint8Array> {
  const source = rangeStream(file, from)
  for (;;) {
    const buffer = Buffer.allocUnsafe(INPUT_BYTES)
    const bytes = await source.read(buffer)
    if (bytes === 0) return
    yield buffer.subarray(0, bytes)
  }
}

function damaged(cause: unknown, path: string, compression: Compression): unknown {
  const { code } = cause as NodeJS.ErrnoException
  if (!/^(Z_|ZSTD_|ERR_ZLIB)/.test(String(code))) return cause
  return new NebulaError('data_invalid', { message: `${path} is no whole ${compression} file.`, place: path, cause })
}

/** Reads until `buffer` is full or the stream ends; returns how many bytes. */
export async function readFully(stream: ByteStream, buffer: Uint8Array): Promise<number> {
  let filled = 0
  while (filled < buffer.length) {
    const bytes = await stream.read(buffer.subarray(filled))
    if (bytes === 0) break
    filled += bytes
  }
  return filled
}
