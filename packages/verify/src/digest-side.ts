import type {
  BytesColumn,
  Column,
  Digest,
  Field,
  Fixed64Column,
  LogicalType,
  ReadStream,
  RecordBatch,
} from '@nebula/core'
import { utf8, valueAt } from '@nebula/core'
import { BucketSums } from './bucket-sums.ts'
import type { End } from './read-all.ts'
import { readAll } from './read-all.ts'
import { wordsToBigInt } from './row-balance.ts'
import type { FoundRow, Side, TakeRow } from './side.ts'

export interface DigestSideOptions {
  readonly end: End
  readonly stream: ReadStream
  /** The columns that are compared, in order. */
  readonly columns: readonly Field[]
  readonly key: readonly string[]
}

const INT32: LogicalType = { kind: 'int32' }
const INT64: LogicalType = { kind: 'int64' }
const SUM: LogicalType = { kind: 'decimal', precision: 38, scale: 0 }
/** Buckets play no part where rows are found by their keys. */
const ONE_BUCKET = 1

/** Lets the source hash its rows where they lie. */
export class DigestSide implements Side {
  readonly #options: DigestSideOptions
  readonly unreadable = 0

  constructor(options: DigestSideOptions) {
    this.#options = options
  }

  async sums(buckets: number): Promise<BucketSums> {
    const sums = new BucketSums(buckets)
    const fields = [field('bucket', INT32), field('rows', INT64), field('sum', SUM)]
    await this.#read({ buckets }, fields, (batch) => {
      const numbers = batch.column(0) as Column & { layout: 'fixed' }
      const counts = batch.column(1) as Fixed64Column
      const totals = batch.column(2) as Column & { layout: 'fixed128' }
      for (let row = 0; row < batch.rows; row++) {
        const count = Number(wordsToBigInt(counts.words[row * 2] as number, counts.words[row * 2 + 1] as number))
        const [low, high] = [totals.words[row * 4] as number, totals.words[row * 4 + 1] as number]
        sums.add(numbers.values[row] as number, count, low, high)
      }
    })
    return sums
  }

  async rows(buckets: number, chosen: ReadonlySet<number>, take: TakeRow): Promise<void> {
    const fields = [field('key', INT64), field('row', INT64)]
    await this.#read({ buckets, rows: { buckets: [...chosen] } }, fields, (batch) => {
      const { words: keys } = batch.column(0) as Fixed64Column
      const { words: rows } = batch.column(1) as Fixed64Column
      for (let i = 0; i < batch.rows * 2; i += 2) take(keys, rows, i)
    })
  }

  async find(wanted: ReadonlySet<string>, limit: number): Promise<FoundRow[]> {
    const found: FoundRow[] = []
    const { columns } = this.#options
    const texts = [field('place', utf8), ...columns.map((_, i) => field(`c${i}`, utf8))]
    const fields = [field('key', INT64), field('row', INT64), ...texts]
    await this.#read({ buckets: ONE_BUCKET, rows: { keys: [...wanted] } }, fields, (batch) => {
      const { words: keys } = batch.column(0) as Fixed64Column
      const { words: rows } = batch.column(1) as Fixed64Column
      for (let row = 0; row < batch.rows && found.length < limit; row++) {
        const keyHash = String(wordsToBigInt(keys[row * 2] as number, keys[row * 2 + 1] as number))
        const rowHash = String(wordsToBigInt(rows[row * 2] as number, rows[row * 2 + 1] as number))
        const [place, ...values] = texts.map(
          (_, i) => valueAt(batch.column(i + 2) as BytesColumn, row) as string | null,
        )
        found.push({ keyHash, rowHash, values, place: place === '' ? batch.place(row) : String(place) })
      }
    })
    return found
  }

  #read(
    asked: Pick<Digest, 'buckets' | 'rows'>,
    fields: readonly Field[],
    visit: (batch: RecordBatch) => void,
  ): Promise<void> {
    const { end, stream, columns, key } = this.#options
    const { request } = stream
    const decode = fields.map((_, index) => index)
    const digest = { columns, key, ...asked }
    return readAll(end, { request, schema: { fields }, decode, digest }, () => ({ visit, free() {} }))
  }
}

function field(name: string, type: LogicalType): Field {
  return { name, type, nullable: true }
}
