import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, writeDurably } from '@nebula/base'
import type { Checkpoint, Position, RecordBatch, Rejection, RowOrigin, StreamPlan } from '@nebula/core'
import { exactValue } from '@nebula/transforms'
import { fileName } from './state.ts'

/** A row that was kept because it could not arrive. One line of JSON. */
export interface DeadLetter extends Partial<RowOrigin> {
  readonly stream: string
  /** Where it failed: its source could not read it, a transform did not fit, or the destination refused it. */
  readonly stage: 'read' | 'transform' | 'write'
  readonly place: string
  /** Behind its batch, where its source gives one. */
  readonly position?: Position
  readonly column?: string
  readonly code: string
  readonly reason: string
  /** By column, as canonical texts: `transform` in the names and types of the source, `write` in those of the target. */
  readonly values?: { readonly [column: string]: unknown }
  /** Columns whose value is masked already. */
  readonly masked?: readonly string[]
  /** As the source had it; in base64 where it is no UTF-8. */
  readonly raw?: string
  readonly raw_base64?: string
}

/** A dead letter as it lies in its file. */
export interface StoredLetter extends DeadLetter {
  /** Unique in its run. */
  readonly id: string
  readonly partition: string
}

/**
 * Rows that were kept because they could not arrive: a folder per stream, and in it one file of JSON lines per commit,
 * readable by its owner only.
 */
export class DeadLetters {
  readonly #folder: string
  /** Partitions of a stream run at once; one of them says what it is. */
  readonly #about = new Map<string, Promise<void>>()

  constructor(stateFolder: string, pipeline: string, run: string) {
    this.#folder = join(stateFolder, `${fileName(pipeline)}.dead-letters`, run)
  }

  get folder(): string {
    return this.#folder
  }

  /**
   * Stores the rows of one commit, durably, before that commit: the same commit tried again replaces them, so they add
   * up after any kill. `stream.json` beside them says what their columns and their target are.
   */
  async store(plan: StreamPlan, partition: string, sequence: number, letters: readonly DeadLetter[]): Promise<void> {
    if (letters.length === 0) return
    const folder = this.#of(plan.request.stream)
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
    } catch (error) {
      throw fileError(error, folder)
    }
    const path = join(folder, `${fileName(partition)}.${sequence}.jsonl`)
    const stored = letters.map((letter, i): StoredLetter => {
      return { id: `${partition}.${sequence}.${i + 1}`, partition, ...letter }
    })
    const about = this.#about.get(folder) ?? writeDurably(join(folder, 'stream.json'), JSON.stringify(plan), 0o600)
    this.#about.set(folder, about)
    await about
    await writeDurably(path, letterLines(stored), 0o600)
  }

  /** Removes what a stream kept before commits that never came, or that are undone: all but those of `checkpoints`. */
  async keepOnly(stream: string, checkpoints: readonly Checkpoint[]): Promise<void> {
    const last = new Map(checkpoints.map(({ partition, sequence }) => [fileName(partition), sequence]))
    for (const name of await filesOf(this.#of(stream))) {
      if (name === 'stream.json') continue
      const [, partition = '', sequence] = /^(.*)\.(\d+)\.jsonl$/.exec(name) ?? []
      if (!(Number(sequence) <= (last.get(partition) ?? 0))) await rm(join(this.#of(stream), name), { force: true })
    }
  }

  /** True when any row is kept. */
  async any(): Promise<boolean> {
    const streams = await filesOf(this.#folder)
    const files = await Promise.all(streams.map((stream) => filesOf(join(this.#folder, stream))))
    return files.flat().some((name) => name.endsWith('.jsonl'))
  }

  #of(stream: string): string {
    return join(this.#folder, fileName(stream))
  }
}

/** Dead letters as a file has them. */
export function letterLines(letters: readonly StoredLetter[]): string {
  return letters.map((letter) => `${JSON.stringify(letter)}\n`).join('')
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw fileError(error, folder)
  }
}

/** A rejected row for the dead letters: its values where it is one of the batch, else as the source had it. */
export async function deadLetter(batch: RecordBatch, rejection: Rejection): Promise<DeadLetter> {
  const { row, column, code, reason, place, raw, values, masked } = rejection
  const stage = row !== undefined ? 'write' : values ? 'transform' : 'read'
  const origin = await (row === undefined ? rejection.origin?.() : batch.origin(row))
  return {
    stream: batch.stream,
    stage,
    place,
    ...origin,
    ...(batch.position === undefined ? {} : { position: batch.position }),
    ...(column === undefined ? {} : { column }),
    code,
    reason,
    ...(row === undefined ? values && { values } : { values: exactRow(batch, row) }),
    ...(masked && { masked }),
    ...(raw && exactBytes(raw)),
  }
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
