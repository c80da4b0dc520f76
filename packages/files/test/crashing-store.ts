import { truncate } from 'node:fs/promises'
import type { StagedFile, Store, StoredFile } from '../src/index.ts'
import { LocalStore } from '../src/index.ts'

/** What a process that was killed would never have thrown. */
class Crash extends Error {}

export interface CrashPoint {
  /** The process dies at this step, counted from 1; steps are everything that changes the disk. */
  readonly step: number
  /** It dies in the middle of the step (a write) or behind it; else before it. */
  readonly when: 'before' | 'middle' | 'behind'
  /** The computer dies too: bytes of staged files that were not synced are lost. */
  readonly loses: boolean
}

/** A local store whose process dies at a given step: nothing works from there on. */
export class CrashingStore extends LocalStore implements Store {
  steps = 0
  crashed = false
  readonly #point: CrashPoint
  /** Per staged file: bytes that are durable. */
  readonly #durable = new Map<string, number>()

  constructor(point: CrashPoint) {
    super()
    this.#point = point
  }

  /** What the disk looks like after the crash. */
  async settle(): Promise<void> {
    if (!this.#point.loses) return
    for (const [path, length] of this.#durable) {
      const stored = await new LocalStore().stat(path)
      if (stored && stored.size > length) await truncate(path, length)
    }
  }

  override async stage(path: string): Promise<StagedFile> {
    const opened: StagedFile[] = []
    const file = await this.#step(async () => {
      opened.push(await super.stage(path))
      return opened[0] as StagedFile
    }).catch(async (error: unknown) => {
      await opened[0]?.close()
      throw error
    })
    this.#durable.set(path, this.#durable.get(path) ?? (await file.stat()).size)
    return {
      write: (bytes, position) =>
        this.#step(
          () => file.write(bytes, position),
          () => file.write(bytes.subarray(0, bytes.length >> 1), position),
        ),
      truncate: (length) => this.#step(() => file.truncate(length)),
      sync: () =>
        this.#step(async () => {
          await file.sync()
          this.#durable.set(path, (await file.stat()).size)
        }),
      stat: () => file.stat(),
      close: () => file.close(),
    }
  }

  override async stat(path: string): Promise<StoredFile | undefined> {
    this.#refuse()
    return super.stat(path)
  }

  override publish(moves: readonly { readonly from: string; readonly to: string }[]): Promise<void> {
    return this.#step(
      () => super.publish(moves),
      () => super.publish(moves.slice(0, moves.length >> 1)),
    )
  }

  override makeFolder(path: string): Promise<void> {
    return this.#step(() => super.makeFolder(path))
  }

  override remove(path: string): Promise<void> {
    return this.#step(() => super.remove(path))
  }

  override removeFolder(path: string): Promise<void> {
    return this.#step(() => super.removeFolder(path))
  }

  override writeJson(path: string, value: unknown): Promise<void> {
    return this.#step(() => super.writeJson(path, value))
  }

  async #step<T>(work: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> {
    this.#refuse()
    this.steps++
    const { step, when } = this.#point
    if (this.steps !== step) return work()
    this.crashed = true
    if (when === 'middle') await half?.()
    if (when === 'behind') await work()
    throw new Crash()
  }

  #refuse(): void {
    if (this.crashed) throw new Crash()
  }
}
