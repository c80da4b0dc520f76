import type { Checkpoint, Run, StreamPlan } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { RunFiles } from './run-files.ts'
import type { StagedFile } from './store.ts'

/** So many bytes are made durable while more are formatted: a commit waits for the last of them only. */
const FLUSH_BYTES = 2 * 1024 * 1024

/**
 * The staged file of one stream. Partitions are appended in their order: the writer whose turn it is writes, the others
 * wait or hold their bytes back. One writer at a time calls `append`, `commit` and `rollback`.
 */
export class StagedStream {
  readonly #run: Run
  readonly #plan: StreamPlan
  readonly #files: RunFiles
  readonly #file: StagedFile
  readonly #checkpoints: Map<string, Checkpoint>
  /** Partitions that are done: the order of the one whose turn it is. */
  #done: number
  /** Bytes of the file that stay whatever happens. */
  #committed: number
  /** Where the next bytes go. */
  #end: number
  #waiting: (() => void)[] = []
  /** Up to where the file is durable, or will be when `#flushing` resolves; it never rejects unseen. */
  #flushed: number
  #flushing: Promise<void> = Promise.resolve()

  private constructor(owner: { run: Run; plan: StreamPlan; files: RunFiles }, file: StagedFile, start: Start) {
    this.#run = owner.run
    this.#plan = owner.plan
    this.#files = owner.files
    this.#file = file
    this.#checkpoints = new Map(start.checkpoints.map((checkpoint) => [checkpoint.partition, checkpoint]))
    this.#done = start.checkpoints.filter((checkpoint) => checkpoint.done).length
    this.#committed = start.length
    this.#end = start.length
    this.#flushed = start.length
  }

  /** Opens the staged file as it was at the last commit; a new one begins with `preamble`. */
  static async open(
    owner: { readonly run: Run; readonly plan: StreamPlan; readonly files: RunFiles },
    file: StagedFile,
    preamble: Uint8Array,
  ): Promise<StagedStream> {
    const { length, checkpoints } = await owner.files.progress(owner.run, owner.plan)
    await file.truncate(length)
    if (length > 0) return new StagedStream(owner, file, { length, checkpoints })
    await file.write(preamble, 0)
    return new StagedStream(owner, file, { length: preamble.length, checkpoints })
  }

  /** The sequence of the last commit of a partition; 0: none. */
  sequence(partition: string): number {
    return this.#checkpoints.get(partition)?.sequence ?? 0
  }

  isTurn(order: number): boolean {
    return order === this.#done
  }

  /** True for a partition that is in the file: nothing may be written for it again. */
  isDone(partition: string): boolean {
    return this.#checkpoints.get(partition)?.done ?? false
  }

  /** Resolves when every partition before `order` is done. Throws `aborted` when the signal fires first. */
  async turn(order: number, signal: AbortSignal): Promise<void> {
    while (order > this.#done) {
      if (signal.aborted) throw new NebulaError('aborted', { message: 'Stopped while waiting for the rows before.' })
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake)
          resolve()
        }
        signal.addEventListener('abort', wake, { once: true })
        this.#waiting.push(wake)
      })
    }
  }

  /** Writes bytes behind what is there. Throws `fenced` when the run has another owner. */
  async append(bytes: Uint8Array): Promise<void> {
    await this.#files.check(this.#run)
    await this.#file.write(bytes, this.#end)
    this.#end += bytes.length
    if (this.#end - this.#flushed >= FLUSH_BYTES) this.#flush()
  }

  /** Begins to make the file durable as it is, once what was begun before has ended. */
  #flush(): void {
    this.#flushed = this.#end
    this.#flushing = this.#flushing.then(() => this.#file.sync())
    this.#flushing.catch(() => {})
  }

  /** Makes what was appended durable, then records the checkpoint, then lets the next partition on. */
  async commit(checkpoint: Checkpoint): Promise<void> {
    await this.#flushing
    await this.#file.sync()
    await this.#files.check(this.#run)
    const checkpoints = new Map(this.#checkpoints).set(checkpoint.partition, checkpoint)
    await this.#files.keepProgress(this.#run, this.#plan, this.#end, [...checkpoints.values()])
    this.#checkpoints.set(checkpoint.partition, checkpoint)
    this.#committed = this.#end
    if (!checkpoint.done) return
    this.#done++
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  /** Takes back what was appended since the last commit. Throws `fenced`: another owner may have appended more. */
  async rollback(): Promise<void> {
    await this.#files.check(this.#run)
    this.#end = this.#committed
    this.#flushed = this.#committed
    this.#flushing = Promise.resolve()
    await this.#file.truncate(this.#committed)
  }

  /** Ends the file: it holds what was committed and nothing else. */
  async complete(): Promise<void> {
    try {
      await this.rollback()
      await this.#file.sync()
    } finally {
      await this.close()
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

interface Start {
  readonly length: number
  readonly checkpoints: readonly Checkpoint[]
}
