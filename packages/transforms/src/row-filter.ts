import type { BoundCondition, BufferPool, BytesColumn, Column, Operator, RecordBatch, Schema } from '@nebula/core'
import { fieldIndex, gatherWire, isNull } from '@nebula/core'
import type { Comparison } from './compare-column.ts'
import { comparisonWith } from './compare-column.ts'
import { DerivedBatch } from './derived-batch.ts'
import { Gatherer } from './gatherer.ts'
import { compilePattern, matchesPattern } from './like.ts'

/** In this order `and` is the least of its terms, `or` the greatest, and `not` what is left to 2. */
const FALSE = 0
const UNKNOWN = 1
const TRUE = 2

/** Writes for every row of a batch whether the condition is true of it. */
type Test = (batch: RecordBatch, out: Uint8Array) => void

/** Leaves out the rows that a condition does not want. A result is valid until the next call. */
export class RowFilter {
  readonly #test: Test
  readonly #gatherer: Gatherer
  #verdicts = new Uint8Array(0)

  /** `schema` is that of the batches. */
  constructor(condition: BoundCondition, schema: Schema, pool: BufferPool) {
    this.#test = testOf(condition, schema)
    this.#gatherer = new Gatherer(pool)
  }

  apply(batch: RecordBatch): RecordBatch {
    const { rows, wire } = batch
    if (this.#verdicts.length < rows) this.#verdicts = new Uint8Array(rows)
    const verdicts = this.#verdicts
    this.#test(batch, verdicts)
    let count = 0
    for (let row = 0; row < rows; row++) if (verdicts[row] === TRUE) count++
    const shared = { base: batch, schema: batch.schema, rejected: batch.rejected }
    if (count === rows) return new DerivedBatch({ ...shared, rows, wire, column: (index) => batch.column(index) })
    const kept = new Int32Array(count)
    for (let row = 0, to = 0; row < rows; row++) if (verdicts[row] === TRUE) kept[to++] = row
    return new DerivedBatch({
      ...shared,
      rows: count,
      wire: wire && gatherWire(wire, kept),
      column: (index) => this.#gatherer.gather(index, batch.column(index), kept),
      place: (row) => batch.place(kept[row] as number),
      origin: (row) => batch.origin(kept[row] as number),
    })
  }

  free(): void {
    this.#gatherer.free()
  }
}

function testOf(condition: BoundCondition, schema: Schema): Test {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return all(
        condition.terms.map((term) => testOf(term, schema)),
        condition.kind === 'and',
      )
    case 'not':
      return not(testOf(condition.term, schema))
    case 'null':
      return nulls(fieldIndex(schema, condition.column))
    case 'compare':
      return compared(condition, condition.operator, comparisonWith(condition.value, condition), schema)
    case 'in':
      return all(
        condition.values.map((value) => compared(condition, '=', comparisonWith(value, condition), schema)),
        false,
      )
    case 'like':
      return compared(condition, '=', matching(condition.pattern), schema)
  }
}

/** `and` of all terms, or `or`. */
function all(tests: readonly Test[], and: boolean): Test {
  let scratch = new Uint8Array(0)
  return (batch, out) => {
    const { rows } = batch
    if (scratch.length < rows) scratch = new Uint8Array(rows)
    out.fill(and ? TRUE : FALSE, 0, rows)
    for (const test of tests) {
      test(batch, scratch)
      for (let row = 0; row < rows; row++) {
        const term = scratch[row] as number
        if (and ? term < (out[row] as number) : term > (out[row] as number)) out[row] = term
      }
    }
  }
}

function not(test: Test): Test {
  return (batch, out) => {
    test(batch, out)
    for (let row = 0; row < batch.rows; row++) out[row] = TRUE - (out[row] as number)
  }
}

function nulls(index: number): Test {
  return (batch, out) => {
    const column = batch.column(index)
    for (let row = 0; row < batch.rows; row++) out[row] = isMissing(column, row) ? TRUE : FALSE
  }
}

function isMissing(column: Column, row: number): boolean {
  if (isNull(column, row)) return true
  return column.layout === 'dictionary' && isNull(column.dictionary, column.indices[row] as number)
}

/** Below, equal, above. */
const VERDICTS: { readonly [operator in Operator]: readonly [number, number, number] } = {
  '=': [FALSE, TRUE, FALSE],
  '<>': [TRUE, FALSE, TRUE],
  '<': [TRUE, FALSE, FALSE],
  '<=': [TRUE, TRUE, FALSE],
  '>': [FALSE, FALSE, TRUE],
  '>=': [FALSE, TRUE, TRUE],
}

function compared({ column: name }: { column: string }, operator: Operator, compare: Comparison, schema: Schema): Test {
  const index = fieldIndex(schema, name)
  const verdicts = Uint8Array.from(VERDICTS[operator])
  let distinct = new Uint8Array(0)
  return (batch, out) => {
    const column = batch.column(index)
    const { rows } = batch
    if (column.layout === 'dictionary') {
      const { dictionary, indices } = column
      if (distinct.length < dictionary.length) distinct = new Uint8Array(dictionary.length)
      compare(dictionary, distinct)
      for (let row = 0; row < rows; row++) out[row] = distinct[indices[row] as number] as number
    } else compare(column, out)
    for (let row = 0; row < rows; row++) out[row] = verdicts[out[row] as number] as number
    if (column.validity || column.layout === 'dictionary')
      for (let row = 0; row < rows; row++) if (isMissing(column, row)) out[row] = UNKNOWN
  }
}

/** `like` as a comparison that is equal where the pattern matches. */
function matching(pattern: string): Comparison {
  const codes = compilePattern(pattern)
  return (column, out) => {
    const { data, offsets, length } = column as BytesColumn
    for (let row = 0; row < length; row++)
      out[row] = matchesPattern(codes, data, offsets[row] as number, offsets[row + 1] as number) ? 1 : 0
  }
}
