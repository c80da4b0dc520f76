import { promisify } from 'node:util'
import { constants, gzip, zstdCompress } from 'node:zlib'
import type { CompressionConfig } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Compression } from './byte-stream.ts'
import { extensionOf } from './byte-stream.ts'

/**
 * Packs parts of a file. Each part becomes a whole gzip member (RFC 1952, 2.2) or zstd frame (RFC 8878, 3.1): put one
 * behind the other they are one file, so a file can be cut off, and gone on with, behind any of them.
 */
export interface Compressor {
  /** What is added to the names of files: `.gz`. */
  readonly extension: string
  /** `bytes` must not change until this resolves; the work is done in another thread. */
  pack(bytes: Uint8Array): Promise<Uint8Array>
}

const pack = { gzip: promisify(gzip), zstd: promisify(zstdCompress) }
const HIGHEST_LEVEL: Readonly<Record<Compression, number>> = { gzip: 9, zstd: 22 }

/** What `advanced.compression` asks for; undefined: nothing. Throws `config_invalid` for a level that there is not. */
export function createCompressor({ algorithm, level }: CompressionConfig): Compressor | undefined {
  if (algorithm === 'none') {
    if (level === undefined) return undefined
    throw refused('level stands beside no algorithm', 'Add algorithm: gzip or zstd, or remove the level.')
  }
  const highest = HIGHEST_LEVEL[algorithm]
  if (level !== undefined && level > highest)
    throw refused(`level is ${level}; ${algorithm} has 1 to ${highest}`, `Use at most ${highest}.`)
  const extension = extensionOf(algorithm)
  if (algorithm === 'gzip') {
    const options = level === undefined ? {} : { level }
    return { extension, pack: (bytes) => pack.gzip(bytes, options) }
  }
  const options = level === undefined ? {} : { params: { [constants.ZSTD_c_compressionLevel]: level } }
  return { extension, pack: (bytes) => pack.zstd(bytes, options) }
}

function refused(what: string, fix: string): NebulaError {
  return new NebulaError('config_invalid', { message: `advanced.compression: ${what}.`, fix })
}
