import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeDurably } from '@nebula/base'
import type { RecordBatch, Rejection, Value } from '@nebula/core'
import { fileName } from './state.ts'

/** Rows that were kept because they could not arrive: one file of JSON lines per commit, readable by its owner only. */
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
  async store(partition: string, sequence: number, letters: readonly string[]): Promise<void> {
    if (letters.length === 0) return
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const path = join(this.#folder, `${fileName(partition)}.${sequence}.jsonl`)
    await writeDurably(path, `${letters.join('\n')}\n`, 0o600)
  }

  async discard(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** One line for a rejected row. `raw` is left out where masked columns would show in it. */
export function deadLetter(batch: RecordBatch, rejection: Rejection, masked: boolean): string {
  const { row, column, code, reason, place, raw } = rejection
  const values = row === undefined ? undefined : batch.record(row).data
  const kept = masked || raw === undefined ? undefined : Buffer.from(raw)
  const text = kept?.toString('utf8')
  const exact = text !== undefined && kept?.equals(Buffer.from(text, 'utf8')) === true
  const source = kept === undefined ? {} : exact ? { raw: text } : { raw_base64: kept.toString('base64') }
  return JSON.stringify({ stream: batch.stream, place, column, code, reason, values, ...source }, plainValue)
}

/** A `JSON.stringify` replacer: 64-bit numbers as text, bytes as `\\x` hexadecimal. */
export function plainValue(_key: string, value: Value | object): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : value
}
