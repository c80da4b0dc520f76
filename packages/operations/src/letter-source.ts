import type {
  Catalog,
  Column,
  Context,
  ReadTask,
  RecordBatch,
  RejectedRecord,
  Rejection,
  RowOrigin,
  Schema,
  SourceDriver,
} from '@nebula/core'
import { createBatch, typeName } from '@nebula/core'
import type { StoredLetter } from '@nebula/runtime'
import { isStored, LetterColumn } from './letter-column.ts'

/** A dead letter on its way, and the name by which it is known when it fails again. */
export interface SentLetter {
  readonly entry: string
  readonly letter: StoredLetter
}

/** Where a letter that is sent came from; it travels with the row, and into its dead letter when it fails again. */
function originOf({ entry, letter }: SentLetter): RowOrigin {
  const { path = '', line = 0, record = 0, byte = 0 } = letter
  const origin = { path, line, record, byte, entry }
  return origin
}

/** Letters whose rows the source could not read: it reads their texts, or with `again` their files, once more. */
export function rereadSource(driver: SourceDriver, sent: readonly SentLetter[], again: boolean): SourceDriver {
  return {
    ...bound(driver),
    read({ partition, stream }: ReadTask, context: Context): AsyncIterable<RecordBatch> {
      const records = sent
        .filter(({ letter }) => letter.stream === partition.stream)
        .map((one): RejectedRecord => ({ origin: originOf(one), ...(again ? {} : rawOf(one.letter)) }))
      return driver.reread?.(stream, records, context) ?? nothing()
    },
  }
}

/** Its methods as functions of their own, but for `plan`: letters are one partition a stream. */
function bound(driver: SourceDriver): SourceDriver {
  return {
    ...(driver.open && { open: driver.open.bind(driver) }),
    ...(driver.ping && { ping: driver.ping.bind(driver) }),
    ...(driver.close && { close: driver.close.bind(driver) }),
    discover: driver.discover.bind(driver),
    read: driver.read.bind(driver),
  }
}

async function* nothing(): AsyncGenerator<RecordBatch> {}

function rawOf({ raw, raw_base64: packed }: StoredLetter): { raw?: Uint8Array } {
  if (raw !== undefined) return { raw: Buffer.from(raw) }
  return packed === undefined ? {} : { raw: Buffer.from(packed, 'base64') }
}

/** Letters with values: `catalog` says their columns. Nothing is connected but what `driver` opens for it. */
export function valuesSource(
  catalog: (context: Context) => Promise<Catalog>,
  sent: readonly SentLetter[],
  driver?: SourceDriver,
): SourceDriver {
  const { open, ping, close } = driver ? bound(driver) : ({} as Partial<SourceDriver>)
  return {
    ...(open && { open }),
    ...(ping && { ping }),
    ...(close && { close }),
    discover: catalog,
    async *read(task, context) {
      const letters = sent.filter(({ letter }) => letter.stream === task.partition.stream)
      for (const chunk of chunks(letters, task.batch)) yield batchOf(chunk, task, context)
    },
  }
}

function* chunks(letters: readonly SentLetter[], { rows, bytes }: ReadTask['batch']): Generator<SentLetter[]> {
  let chunk: SentLetter[] = []
  let size = 0
  for (const one of letters) {
    chunk.push(one)
    size += JSON.stringify(one.letter.values).length
    if (chunk.length < rows && size < bytes) continue
    yield chunk
    chunk = []
    size = 0
  }
  if (chunk.length > 0) yield chunk
}

/** The letters that fit the columns as rows, the others as rejections. */
function batchOf(letters: readonly SentLetter[], task: ReadTask, { pool }: Context): RecordBatch {
  const { schema, request } = task.stream
  const builders = schema.fields.map(({ type }) => new LetterColumn(type, pool))
  const misfits = new Map<SentLetter, Misfit>()
  for (const one of letters) {
    const reason = misfit(one.letter, schema)
    if (reason) misfits.set(one, reason)
  }
  let rows = letters.filter((one) => !misfits.has(one))
  let columns = fill(rows, schema, builders, misfits)
  if (rows.some((one) => misfits.has(one))) {
    rows = rows.filter((one) => !misfits.has(one))
    columns = fill(rows, schema, builders, misfits)
  }
  const rejected = [...misfits].map(([one, reason]): Rejection => {
    return { ...reason, code: 'value_invalid', place: one.letter.place, origin: async () => originOf(one) }
  })
  return createBatch({
    stream: request.stream,
    schema,
    rows: rows.length,
    columns,
    rejected,
    place: (row) => rows[row]?.letter.place ?? '',
    origin: async (row) => originOf(rows[row] as SentLetter),
    onRelease: () => builders.forEach((builder) => builder.free()),
  })
}

type Misfit = Pick<Rejection, 'reason' | 'column'>

/** Why a letter has not the columns that are asked for; undefined: it has. */
function misfit({ values = {} }: StoredLetter, { fields }: Schema): Misfit | undefined {
  const gone = Object.keys(values).find((name) => !fields.some((field) => field.name === name))
  if (gone !== undefined) return { reason: `its column "${gone}" is none of the stream any more`, column: gone }
  const missing = fields.find(({ name }) => !Object.hasOwn(values, name))
  if (missing) return { reason: `it has no value for "${missing.name}"`, column: missing.name }
  const odd = fields.find(({ name, type }) => !isStored(values[name], type))
  return odd && { reason: `the value of "${odd.name}" is none of ${typeName(odd.type)}`, column: odd.name }
}

/** The values of the rows, column by column; a row that does not fit is added to `misfits`. */
function fill(
  rows: readonly SentLetter[],
  { fields }: Schema,
  builders: readonly LetterColumn[],
  misfits: Map<SentLetter, Misfit>,
): Column[] {
  return fields.map((field, i) => {
    const values = rows.map(({ letter }) => letter.values?.[field.name])
    return (builders[i] as LetterColumn).fill(values, (row) => {
      const reason = { reason: `the value of "${field.name}" is not valid any more`, column: field.name }
      misfits.set(rows[row] as SentLetter, reason)
    })
  })
}
