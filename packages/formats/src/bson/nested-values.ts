import type { AnyBuilder, Field, LogicalType } from '@nebula/core'
import { ListBuilder, StructBuilder } from '@nebula/core'
import type { NestedValues } from './column-target.ts'
import { ColumnTarget, DAMAGED, HELD, MISFIT } from './column-target.ts'
import type { Bson } from './elements.ts'
import { nameEnd, NULL, valueEnd } from './elements.ts'
import { elementAlias } from './field-types.ts'
import { isNamed } from './name-index.ts'

const HEAD = 4

/** A column with all that is nested in it. */
export function columnTarget(field: Field, builder: AnyBuilder | undefined): ColumnTarget {
  return new ColumnTarget(field, builder, nestedValues(field, builder))
}

function nestedValues({ type }: Field, builder: AnyBuilder | undefined): NestedValues | undefined {
  if (builder instanceof ListBuilder && type.kind === 'list') return new ListValues(builder, type.element)
  if (!(builder instanceof StructBuilder) || type.kind !== 'struct') return undefined
  const targets = type.fields.map((inner, i) => columnTarget(elementField(inner.name, inner.type), builder.children[i]))
  return new StructValues(targets, 'struct')
}

function elementField(name: string, type: LogicalType): Field {
  return { name, type, nullable: true, declared: elementAlias(type) }
}

/**
 * What the columns have to say of a document: all of it (`struct`), the same of one that is not empty (`flattened`), or
 * only what is theirs (`part`), where nothing keeps the rest.
 */
type StructUse = 'struct' | 'flattened' | 'part'

/**
 * Documents whose fields are columns. One is held when these, in their order and without what is missing, are the same
 * bytes: no other field, no null, no name twice, no other order. Of a `part` other fields and nulls are passed over,
 * and the order is any.
 */
export class StructValues implements NestedValues {
  readonly #targets: readonly ColumnTarget[]
  /** Each with its NUL. */
  readonly #names: readonly Uint8Array[]
  readonly #use: StructUse

  constructor(targets: readonly ColumnTarget[], use: StructUse) {
    this.#targets = targets
    this.#names = targets.map(({ head }) => head.subarray(1))
    this.#use = use
  }

  attach(bson: Bson): void {
    for (const target of this.#targets) target.attach(bson)
  }

  put(bson: Bson, row: number, at: number, end: number): number {
    const { bytes } = bson
    const targets = this.#targets
    const last = end - 1
    /** Those before it are set, or missed. */
    let next = 0
    for (let from = at + HEAD; from !== last;) {
      const type = bytes[from] as number
      const name = nameEnd(bytes, from + 1, last)
      const to = name < 0 ? -1 : valueEnd(bson, type, name + 1, last)
      if (to < 0) return this.#undo(row, next, DAMAGED)
      const index = this.#find(bytes, from + 1, next)
      if (index >= 0 && (type !== NULL || this.#use !== 'part')) {
        const target = targets[index] as ColumnTarget
        const isOpen = this.#open(row, next, index)
        if (index > next) next = index
        const outcome = isOpen && target.turnTo(type) ? target.put(bson, row, name + 1, to) : MISFIT
        if (outcome !== HELD) return this.#undo(row, next, outcome)
        if (index === next) next++
      } else if (this.#use !== 'part') return this.#undo(row, next, MISFIT)
      from = to
    }
    // Nobody writes a document of nothing.
    if (this.#use === 'flattened' && next === 0) return MISFIT
    this.#miss(row, next, targets.length)
    return HELD
  }

  /** The place of a name, which is not before `next`; of a part, anywhere. */
  #find(bytes: Uint8Array, start: number, next: number): number {
    const names = this.#names
    for (let i = next; i < names.length; i++) if (isNamed(bytes, start, names[i] as Uint8Array)) return i
    if (this.#use === 'part') for (let i = 0; i < next; i++) if (isNamed(bytes, start, names[i] as Uint8Array)) return i
    return -1
  }

  /** Comes to a field, and misses those between; false for one that is set already: its name is there twice. */
  #open(row: number, next: number, index: number): boolean {
    this.#miss(row, next, index)
    if (index >= next) return true
    const target = this.#targets[index] as ColumnTarget
    if (!target.isMissing(row)) return false
    target.undo(row)
    return true
  }

  #miss(row: number, from: number, to: number): void {
    for (let i = from; i < to; i++) (this.#targets[i] as ColumnTarget).miss(row)
  }

  #undo(row: number, count: number, outcome: number): number {
    for (let i = 0; i < count; i++) (this.#targets[i] as ColumnTarget).undo(row)
    return outcome
  }
}

/** Arrays whose elements are of one type, or null, and are named as those of an array are. */
class ListValues implements NestedValues {
  readonly #builder: ListBuilder
  readonly #element: ColumnTarget

  constructor(builder: ListBuilder, element: LogicalType) {
    this.#builder = builder
    this.#element = columnTarget(elementField('', element), builder.child)
  }

  attach(bson: Bson): void {
    this.#element.attach(bson)
  }

  put(bson: Bson, row: number, at: number, end: number): number {
    const { bytes } = bson
    const builder = this.#builder
    const last = end - 1
    let index = 0
    for (let from = at + HEAD; from !== last; index++) {
      const type = bytes[from] as number
      const name = nameEnd(bytes, from + 1, last)
      const to = name < 0 ? -1 : valueEnd(bson, type, name + 1, last)
      const isNext = to >= 0 && isIndex(bytes, from + 1, name, index)
      const outcome = isNext ? this.#append(bson, type, name + 1, to) : to < 0 ? DAMAGED : MISFIT
      if (outcome !== HELD) {
        builder.clear(row)
        return outcome
      }
      from = to
    }
    builder.offsets[row + 1] = builder.size
    return HELD
  }

  #append(bson: Bson, type: number, at: number, end: number): number {
    const builder = this.#builder
    const element = this.#element
    if (builder.ensure(1)) element.attach(bson)
    const row = builder.size
    let outcome = HELD
    if (type === NULL) element.miss(row)
    else outcome = element.turnTo(type) ? element.put(bson, row, at, end) : MISFIT
    if (outcome === HELD) builder.size++
    return outcome
  }
}

const ZERO = 0x30

/** True when a name is the digits of a number. */
function isIndex(bytes: Uint8Array, start: number, end: number, index: number): boolean {
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] as number) - ZERO
    if (digit < 0 || digit > 9) return false
    value = value * 10 + digit
  }
  return value === index && end > start && (bytes[start] !== ZERO || end === start + 1)
}
