import type { BufferPool, Column, ColumnBuilder, LogicalType } from '@nebula/core'
import { BytesBuilder, columnBuilder, parseColumn } from '@nebula/core'

/** True for what a dead letter has of a value of this type: null, its text, or lists and objects of these. */
export function isStored(value: unknown, type: LogicalType): boolean {
  if (value === null) return true
  if (type.kind === 'list') return Array.isArray(value) && value.every((element) => isStored(element, type.element))
  if (type.kind !== 'struct') return typeof value === 'string'
  if (typeof value !== 'object') return false
  const fields = value as { readonly [name: string]: unknown }
  return type.fields.every((field) => Object.hasOwn(fields, field.name) && isStored(fields[field.name], field.type))
}

/** Makes columns of what dead letters have of their values. */
export class LetterColumn {
  readonly #type: LogicalType
  readonly #builder: ColumnBuilder | undefined
  /** Of a list its elements, of a struct its fields. */
  readonly #children: readonly LetterColumn[]

  constructor(type: LogicalType, pool: BufferPool) {
    const inner =
      type.kind === 'list' ? [type.element] : type.kind === 'struct' ? type.fields.map((one) => one.type) : []
    const isNested = type.kind === 'list' || type.kind === 'struct'
    this.#type = type
    this.#children = inner.map((one) => new LetterColumn(one, pool))
    if (!isNested) this.#builder = columnBuilder(type, pool)
  }

  /** Valid until the next call, or `free`. Values are stored ones; rows whose are not valid any more are reported. */
  fill(values: readonly unknown[], onFault: (row: number) => void): Column {
    const type = this.#type
    const own = { type, length: values.length, validity: validityOf(values) }
    if (type.kind === 'list') {
      const lists = values.map((value) => (value ?? []) as unknown[])
      const offsets = new Int32Array(values.length + 1)
      for (const [row, { length }] of lists.entries()) offsets[row + 1] = (offsets[row] as number) + length
      const rows = lists.flatMap((list, row) => list.map(() => row))
      const child = this.#child(0).fill(lists.flat(), (element) => onFault(rows[element] as number))
      return { ...own, layout: 'list', offsets, child }
    }
    if (type.kind === 'struct') {
      const objects = values.map((value) => value as { readonly [name: string]: unknown } | null)
      const children = type.fields.map(({ name }, i) => {
        const inner = objects.map((fields) => fields?.[name] ?? null)
        return this.#child(i).fill(inner, onFault)
      })
      return { ...own, layout: 'struct', children }
    }
    return this.#parse(values as (string | null)[], onFault)
  }

  free(): void {
    this.#builder?.free()
    for (const child of this.#children) child.free()
  }

  #child(index: number): LetterColumn {
    return this.#children[index] as LetterColumn
  }

  #parse(texts: readonly (string | null)[], onFault: (row: number) => void): Column {
    const builder = this.#builder as ColumnBuilder
    if (this.#type.kind === 'native' && builder instanceof BytesBuilder) {
      builder.start(texts.length)
      for (const [row, text] of texts.entries()) {
        // The bytes of a vendor's own type are written as `\x` and hexadecimal digits.
        const bytes = Buffer.from(text?.slice(2) ?? '', 'hex')
        if (text === null) builder.appendNull(row)
        else builder.append(row, bytes, 0, bytes.length)
      }
      return builder.finish()
    }
    const bytes = texts.map((text) => Buffer.from(text ?? ''))
    const starts = new Int32Array(texts.length)
    const ends = new Int32Array(texts.length)
    let at = 0
    for (const [row, { length }] of bytes.entries()) {
      starts[row] = texts[row] === null ? -1 : at
      ends[row] = at += length
    }
    parseColumn({ data: Buffer.concat(bytes), starts, ends, base: 0, stride: 1, rows: texts.length }, builder, onFault)
    return builder.finish()
  }
}

function validityOf(values: readonly unknown[]): Uint8Array {
  const validity = new Uint8Array((values.length + 7) >> 3)
  for (const [row, value] of values.entries())
    if (value !== null) validity[row >> 3] = (validity[row >> 3] as number) | (1 << (row & 7))
  return validity
}
