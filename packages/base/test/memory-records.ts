import type { CheckpointRecord, CheckpointRecords, Where } from '../src/index.ts'

/** Records in a map: what a store without transactions comes to, one step after the other. */
export class MemoryRecords implements CheckpointRecords<object> {
  readonly records: Map<string, CheckpointRecord>
  readonly #step: () => void | Promise<void>

  /** `step` is called before each change; `records` live longer than a process. */
  constructor(step: () => void | Promise<void> = () => {}, records = new Map<string, CheckpointRecord>()) {
    this.#step = step
    this.records = records
  }

  async find(_session: object, where: Where): Promise<CheckpointRecord[]> {
    return structuredClone(this.#matching(where).map(([, record]) => record))
  }

  async insert(_session: object, records: readonly CheckpointRecord[]): Promise<boolean> {
    await this.#step()
    const missing = records.filter((record) => !this.records.has(keyOf(record)))
    for (const record of missing) this.records.set(keyOf(record), structuredClone(record))
    return missing.length === records.length
  }

  async update(_session: object, where: Where, set: Partial<CheckpointRecord>): Promise<number> {
    await this.#step()
    const found = this.#matching(where)
    for (const [key, record] of found) this.records.set(key, structuredClone({ ...record, ...set }))
    return found.length
  }

  async delete(_session: object, where: Where): Promise<void> {
    await this.#step()
    for (const [key] of this.#matching(where)) this.records.delete(key)
  }

  #matching(where: Where): [string, CheckpointRecord][] {
    return [...this.records].filter(([, record]) =>
      Object.entries(where).every(([field, value]) => {
        const found = record[field as keyof Where]
        return typeof value === 'object' ? Number(found) <= value.atMost : found === value
      }),
    )
  }
}

function keyOf({ pipeline, part }: CheckpointRecord): string {
  return JSON.stringify([pipeline, part])
}
