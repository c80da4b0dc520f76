import type { Column, LogicalType, RecordBatch, Value } from '@nebula/core'
import { BufferPool, columnBuilder, createBatch, formatColumn, layoutOf, BytesBuilder, utf8 } from '@nebula/core'

export const pool = new BufferPool(1e9)

/** A column of values as `valueAt` gives them. */
export function columnOf(type: LogicalType, values: readonly Value[]): Column {
  const validity = values.includes(null) ? bitmap(values.map((value) => value !== null)) : null
  const own = { type, length: values.length, validity }
  switch (type.kind) {
    case 'list': {
      const lists = values.map((value) => (value ?? []) as Value[])
      const offsets = new Int32Array(values.length + 1)
      for (const [i, list] of lists.entries()) offsets[i + 1] = (offsets[i] as number) + list.length
      return { ...own, layout: 'list', offsets, child: columnOf(type.element, lists.flat(1)) }
    }
    case 'struct': {
      const rows = values.map((value) => (value ?? {}) as { [name: string]: Value })
      const children = type.fields.map((field) =>
        columnOf(
          field.type,
          rows.map((row) => row[field.name] ?? null),
        ),
      )
      return { ...own, layout: 'struct', children }
    }
    case 'bool':
      return { ...own, layout: 'bool', bits: bitmap(values.map((value) => value === true)) }
    default:
      return plain(type, values)
  }
}

function bitmap(bits: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array((bits.length + 7) >> 3)
  for (const [i, bit] of bits.entries()) if (bit) bytes[i >> 3] = (bytes[i >> 3] as number) | (1 << (i & 7))
  return bytes
}

const texts = new TextEncoder()

function plain(type: LogicalType, values: readonly Value[]): Column {
  const builder = columnBuilder(type, pool)
  builder.start(values.length)
  for (const [row, value] of values.entries()) {
    if (value === null) {
      if (builder instanceof BytesBuilder) builder.appendNull(row)
      else builder.setNull(row)
    } else if (builder instanceof BytesBuilder) {
      const bytes = value instanceof Uint8Array ? value : texts.encode(value as string)
      builder.append(row, bytes, 0, bytes.length)
    } else if ('values' in builder) builder.values[row] = value as number
    else if ('words' in builder) setWords(builder.words, type, row, value)
  }
  return builder.finish()
}

function setWords(words: Int32Array, type: LogicalType, row: number, value: Value): void {
  const width = layoutOf(type) === 'fixed64' ? 2 : 4
  let bits = 0n
  if (type.kind === 'uuid')
    for (const byte of Buffer.from((value as string).replaceAll('-', ''), 'hex').toReversed())
      bits = (bits << 8n) | BigInt(byte)
  else if (type.kind === 'interval') {
    const { months, days, micros } = value as { months: number; days: number; micros: bigint }
    bits =
      (BigInt.asUintN(64, micros) << 64n) |
      (BigInt.asUintN(32, BigInt(days)) << 32n) |
      BigInt.asUintN(32, BigInt(months))
  } else bits = value as bigint
  for (let i = 0; i < width; i++) words[row * width + i] = Number(BigInt.asIntN(32, bits >> BigInt(32 * i)))
}

/** The canonical text of a value. */
export function textOf(type: LogicalType, value: Value): string {
  const out = new BytesBuilder(utf8, pool)
  formatColumn(columnOf(type, [value]), out)
  return Buffer.from(out.data.subarray(0, out.size)).toString()
}

export interface TestColumn {
  readonly name: string
  readonly type: LogicalType
  readonly values: readonly Value[]
}

export function batchOf(columns: readonly TestColumn[]): RecordBatch {
  const fields = columns.map(({ name, type }) => ({ name, type, nullable: true }))
  return createBatch({
    stream: 'things',
    schema: { fields },
    rows: columns[0]?.values.length ?? 0,
    columns: columns.map(({ type, values }) => columnOf(type, values)),
  })
}
