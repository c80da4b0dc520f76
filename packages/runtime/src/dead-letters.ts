import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, writeDurably } from '@nebula/base'
import type { Checkpoint, RecordBatch, Rejection } from '@nebula/core'
import { exactValue } from '@nebula/transforms'
import { fileName } from './state.ts'

/**
 * Rows that were kept because they could not arrive: a folder per stream, and in it one file of JSON lines per commit,
 * readable by its owner only.
 */
export class DeadLetters {
  readonly #folder: string

  constructor(stateFolder: string, pipeline: string, run: string) {
    this.#folder = join(stateFolder, `${fileName(pipeline)}.dead-letters`, run)
  }

  get folder(): string {
    return this.#folder
  }

  /**
   * Stores the rows of one commit, durably, before that commit: the same commit tried again replaces them, so they add
   * up after any kill.
   */
  async store(stream: string, partition: string, sequence: number, letters: readonly string[]): Promise<void> {
    if (letters.length === 0) return
    const folder = this.#of(stream)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, folder)
    }
    const path = join(folder, `${fileName(partition)}.${sequence}.jsonl`)
    await writeDurably(path, `${letters.join('\n')}\n`, 0o600)
  }

  /** Removes what a stream kept before commits that never came, or that are undone: all but those of `checkpoints`. */
  async keepOnly(stream: string, checkpoints: readonly Checkpoint[]): Promise<void> {
    const last = new Map(checkpoints.map(({ partition, sequence }) => [fileName(partition), sequence]))
    for (const name of await filesOf(this.#of(stream))) {
      const [, partition = '', sequence] = /^(.*)\.(\d+)\.jsonl$/.exec(name) ?? []
      if (!(Number(sequence) <= (last.get(partition) ?? 0))) await rm(join(this.#of(stream), name), { force: true })
    }
  }

  /** True when any row is kept. */
  async any(): Promise<boolean> {
    const streams = await filesOf(this.#folder)
    const files = await Promise.all(streams.map((stream) => filesOf(join(this.#folder, stream))))
    return files.flat().length > 0
  }

  #of(stream: string): string {
    return join(this.#folder, fileName(stream))
  }
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw fileError(error, folder)
  }
}

/** One line for a rejected row: its values where it is one of the batch, else as the source had it. */
export function deadLetter(batch: RecordBatch, rejection: Rejection): string {
  const { row, column, code, reason, place, raw } = rejection
  const values = row === undefined ? undefined : exactRow(batch, row)
  return JSON.stringify({ stream: batch.stream, place, column, code, reason, values, ...(raw && exactBytes(raw)) })
}

function exactBytes(raw: Uint8Array): { raw: string } | { raw_base64: string } {
  const bytes = Buffer.from(raw)
  const text = bytes.toString('utf8')
  return bytes.equals(Buffer.from(text, 'utf8')) ? { raw: text } : { raw_base64: bytes.toString('base64') }
}

/** The values of a row by column, as their canonical texts, which `parseColumn` reads back; null is null. */
function exactRow(batch: RecordBatch, row: number): { [name: string]: unknown } {
  return Object.fromEntries(batch.schema.fields.map(({ name }, index) => [name, exactValue(batch.column(index), row)]))
}
