import type { Column, ColumnBuilder, Connector } from '@nebula/core'
import {
  BaseConfig,
  BufferPool,
  BytesBuilder,
  formatColumn,
  NebulaError,
  parseColumn,
  utf8,
  valueAt,
} from '@nebula/core'

/** A row as canonical texts. */
export type Row = readonly (string | null)[]

/** Names what drivers do, and fails where a test wants it. */
export class Faults {
  /** Every point that was reached, in order. */
  readonly points: string[] = []
  #dead = false
  readonly #fail: (point: string, count: number) => unknown
  readonly #counts = new Map<string, number>()

  /** `fail` is asked at every point, with how often it was reached before, and gives the error to throw. */
  constructor(fail: (point: string, count: number) => unknown = () => undefined) {
    this.#fail = fail
  }

  /** Nothing works from the point on that is reached as number `index`, as if the process had been killed there. */
  static killedAt(index: number): Faults {
    const faults: Faults = new Faults(() => {
      if (faults.points.length > index) faults.#dead = true
      return undefined
    })
    return faults
  }

  hit(point: string): void {
    this.points.push(point)
    const count = this.#counts.get(point) ?? 0
    this.#counts.set(point, count + 1)
    const error = this.#fail(point, count)
    if (this.#dead) throw new NebulaError('connection_lost', { message: 'The process was killed.' })
    if (error !== undefined) throw error
  }
}

/** A column of texts, parsed into the type of the builder. Throws when one of them is no value of it. */
export function textColumn(texts: readonly (string | null)[], builder: ColumnBuilder): Column {
  const bytes = texts.map((text) => Buffer.from(text ?? ''))
  const starts = new Int32Array(texts.length)
  const ends = new Int32Array(texts.length)
  let at = 0
  for (const [i, text] of texts.entries()) {
    const length = bytes[i]?.length ?? 0
    starts[i] = text === null ? -1 : at
    ends[i] = at + length
    at += length
  }
  const slices = { data: Buffer.concat(bytes), starts, ends, base: 0, stride: 1, rows: texts.length }
  parseColumn(slices, builder, (row) => {
    throw new Error(`row ${row}: ${texts[row]} is no ${builder.type.kind}`)
  })
  return builder.finish()
}

/** The texts of a column. */
export function columnTexts(column: Column): (string | null)[] {
  const out = new BytesBuilder(utf8, new BufferPool(1_000_000))
  formatColumn(column, out)
  const texts = out.finish()
  return Array.from({ length: column.length }, (_, row) => valueAt(texts, row) as string | null)
}

/** A connector over one source or destination; constructing its drivers connects nothing. */
export function memoryConnector(name: string, drivers: Pick<Connector, 'source' | 'destination'>): Connector {
  return { contract: 1, name, version: '1.0.0', config: BaseConfig, ...drivers }
}
