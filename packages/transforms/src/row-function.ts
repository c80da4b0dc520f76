import type { BufferPool, Column, ColumnBuilder, Field, RecordBatch, Rejection, Schema, Value } from '@nebula/core'
import { columnBuilder, fieldIndex, NebulaError, typeName, valueAt } from '@nebula/core'
import type { CheckedTransform } from './check-transform.ts'
import type { InputBatch, InputRow, OutputRow, OutputValue, TransformDefinition } from './define-transform.ts'
import { DerivedBatch } from './derived-batch.ts'
import { Gatherer } from './gatherer.ts'
import type { Visible } from './rejected-row.ts'
import { rejectedRow } from './rejected-row.ts'
import { MISFIT, ValueReader, writeValue } from './value-writer.ts'

/** The columns behind a function: those that it makes stand where they stood, or at the end. */
export function functionSchema(schema: Schema, makes: readonly Field[]): Schema {
  const made = new Map(makes.map((field) => [field.name, field]))
  const kept = schema.fields.map((field) => made.get(field.name) ?? field)
  return { fields: [...kept, ...makes.filter(({ name }) => fieldIndex(schema, name) < 0)] }
}

/** Why a row does not go on. */
interface Fault {
  readonly column?: string
  readonly reason: string
}

export interface RowFunctionInput {
  readonly transform: CheckedTransform
  /** Of the batches that it is given. */
  readonly schema: Schema
  readonly visible: Visible
  readonly pool: BufferPool
  /** The file, for errors. */
  readonly path: string
}

/** Runs a user's function over batches. A result is valid until the next call. */
export class RowFunction {
  readonly #input: RowFunctionInput
  readonly #schema: Schema
  readonly #builders: readonly ColumnBuilder[]
  readonly #readers: readonly ValueReader[]
  readonly #gatherer: Gatherer
  readonly #view: RowView

  constructor(input: RowFunctionInput) {
    const { transform, schema, pool } = input
    this.#input = input
    this.#schema = functionSchema(schema, transform.makes)
    this.#builders = transform.makes.map(({ type }) => columnBuilder(type, pool))
    this.#readers = transform.makes.map(({ type }) => new ValueReader(type))
    this.#gatherer = new Gatherer(pool)
    this.#view = new (viewClass(schema, transform.reads))()
  }

  /** Throws `transform_failed` for what is wrong with the function and not with a row. */
  apply(batch: RecordBatch): RecordBatch {
    const { definition } = this.#input.transform
    const rows = isByRecord(definition) ? this.#byRecord(batch, definition) : this.#byBatch(batch, definition)
    const kept = rows.kept.subarray(0, rows.count)
    const whole = rows.count === batch.rows
    const places = this.#schema.fields.map(({ name }) => {
      return {
        made: this.#input.transform.makes.findIndex((field) => field.name === name),
        index: fieldIndex(batch.schema, name),
      }
    })
    return new DerivedBatch({
      base: batch,
      schema: this.#schema,
      rows: rows.count,
      rejected: [...batch.rejected, ...rows.rejected],
      place: (row) => batch.place(kept[row] as number),
      origin: (row) => batch.origin(kept[row] as number),
      column: (at) => {
        const { made, index } = places[at] as { made: number; index: number }
        if (made >= 0) return (this.#builders[made] as ColumnBuilder).finish()
        const column = batch.column(index)
        return whole ? column : this.#gatherer.gather(index, column, kept)
      },
    })
  }

  free(): void {
    this.#gatherer.free()
    for (const builder of this.#builders) builder.free()
  }

  #byRecord(batch: RecordBatch, definition: ByRecord): Rows {
    const rows = new Rows(batch.rows)
    const view = this.#view
    view[BATCH] = batch
    this.#start(batch.rows)
    for (let row = 0; row < batch.rows; row++) {
      view[ROW] = row
      let made: OutputRow | null
      try {
        made = definition.record(view as unknown as InputRow)
      } catch (error) {
        rows.reject(this.#rejection(batch, row, { reason: `the transform says: ${messageOf(error)}` }))
        continue
      }
      if (made !== null) this.#take(batch, row, this.#checked(made), rows)
    }
    this.#end(rows.count)
    return rows
  }

  #byBatch(batch: RecordBatch, definition: ByBatch): Rows {
    const rows = new Rows(batch.rows)
    const { columns = {}, drop } = this.#batchResult(definition, batch)
    const lists = this.#input.transform.makes.map(({ name }) => columns[name] as readonly OutputValue[])
    if (drop !== undefined && (!Array.isArray(drop) || drop.length !== batch.rows))
      throw this.#failed(`drop must have one entry a row, ${batch.rows}`)
    this.#start(batch.rows)
    for (let row = 0; row < batch.rows; row++) {
      if (drop?.[row] === true) continue
      this.#take(
        batch,
        row,
        lists.map((list) => list[row]),
        rows,
      )
    }
    this.#end(rows.count)
    return rows
  }

  #batchResult(
    definition: ByBatch,
    batch: RecordBatch,
  ): { columns?: { readonly [name: string]: unknown }; drop?: readonly boolean[] } {
    let result: unknown
    try {
      result = definition.batch(inputBatch(batch, this.#input.transform.reads))
    } catch (error) {
      throw this.#failed(messageOf(error), error)
    }
    if (typeof result !== 'object' || result === null || result instanceof Promise)
      throw this.#failed('batch must return an object with columns, drop, or both, and not a promise')
    const { columns = {} } = result as { columns?: { readonly [name: string]: unknown } }
    const { makes } = this.#input.transform
    this.#refuseOthers(columns)
    for (const { name } of makes) {
      const list = columns[name]
      if (!Array.isArray(list) || list.length !== batch.rows)
        throw this.#failed(`columns.${name} must be a list of one value a row, ${batch.rows}`)
    }
    return result
  }

  /** The values of a result, one for each column that is made. */
  #checked(made: OutputRow): readonly OutputValue[] {
    if (typeof made !== 'object' || Array.isArray(made) || (made as unknown) instanceof Promise)
      throw this.#failed('record must return an object of the columns that it makes, or null, and not a promise')
    this.#refuseOthers(made)
    return this.#input.transform.makes.map(({ name }) => {
      const value = made[name]
      if (value === undefined)
        throw this.#failed(`no value was returned for "${name}"; return null where there is none`)
      return value
    })
  }

  #refuseOthers(made: object): void {
    for (const name in made) {
      if (!this.#input.transform.makes.some((field) => field.name === name))
        throw this.#failed(`a value was returned for "${name}", which columns does not declare`)
    }
  }

  /** The next row of the result, or a rejected one where a value does not fit. */
  #take(batch: RecordBatch, row: number, made: readonly OutputValue[], rows: Rows): void {
    const values: Value[] = []
    for (const [i, reader] of this.#readers.entries()) {
      const value = reader.toValue(made[i])
      if (value === MISFIT) {
        const { name, type } = this.#input.transform.makes[i] as Field
        const reason = `the value that the transform made for "${name}" does not fit ${typeName(type)}`
        return rows.reject(this.#rejection(batch, row, { column: name, reason }))
      }
      values.push(value)
    }
    for (const [i, value] of values.entries()) writeValue(this.#builders[i] as ColumnBuilder, rows.count, value)
    rows.keep(row)
  }

  #start(rows: number): void {
    for (const builder of this.#builders) builder.start(rows)
  }

  #end(rows: number): void {
    for (const builder of this.#builders) builder.rows = rows
  }

  #rejection(batch: RecordBatch, row: number, { column, reason }: Fault): Rejection {
    const shown = rejectedRow(batch, row, this.#input.visible, this.#input.pool)
    return { code: 'value_invalid', reason, ...shown, ...(column === undefined ? {} : { column }) }
  }

  #failed(what: string, cause?: unknown): NebulaError {
    const { path } = this.#input
    return new NebulaError('transform_failed', { message: `The transform ${path}: ${what}.`, place: path, cause })
  }
}

type ByRecord = Extract<TransformDefinition, { record: unknown }>
type ByBatch = Extract<TransformDefinition, { batch: unknown }>

function isByRecord(definition: TransformDefinition): definition is ByRecord {
  return typeof (definition as Partial<ByRecord>).record === 'function'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** What becomes of the rows of a batch. */
class Rows {
  readonly kept: Int32Array
  count = 0
  readonly rejected: Rejection[] = []

  constructor(rows: number) {
    this.kept = new Int32Array(rows)
  }

  keep(row: number): void {
    this.kept[this.count++] = row
  }

  reject(rejection: Rejection): void {
    this.rejected.push(rejection)
  }
}

const BATCH = Symbol('batch')
const ROW = Symbol('row')

/** One row after the other; its columns are getters, so that only what is looked at becomes a value. */
interface RowView {
  [BATCH]: RecordBatch | undefined
  [ROW]: number
}

function viewClass(schema: Schema, reads: readonly string[] | undefined): new () => RowView {
  class View implements RowView {
    [BATCH]: RecordBatch | undefined;
    [ROW] = 0
  }
  for (const [index, { name }] of schema.fields.entries()) {
    if (reads && !reads.includes(name)) continue
    Object.defineProperty(View.prototype, name, {
      enumerable: true,
      get(this: View) {
        return valueAt((this[BATCH] as RecordBatch).column(index), this[ROW])
      },
    })
  }
  return View
}

function inputBatch(batch: RecordBatch, reads: readonly string[] | undefined): InputBatch {
  const column = (name: string): Column => {
    const index = fieldIndex(batch.schema, name)
    if (index < 0 || (reads && !reads.includes(name)))
      throw new NebulaError('transform_failed', { message: `The transform has no column "${name}" to look at.` })
    return batch.column(index)
  }
  return {
    rows: batch.rows,
    column,
    values: (name) => Array.from({ length: batch.rows }, (_, row) => valueAt(column(name), row)),
  }
}
