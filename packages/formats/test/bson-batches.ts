import type { Field, RecordBatch, Value } from '@nebula/core'
import { BufferPool, valueAt } from '@nebula/core'
import { DocumentBatches } from '../src/bson/document-batches.ts'
import type { FieldOptions } from '../src/bson/collection-fields.ts'
import { documentFields } from '../src/bson/collection-fields.ts'
import { FieldSampler } from '../src/bson/field-sampler.ts'
import type { DocumentField, Nesting } from '../src/index.ts'
import { DocumentEncoder } from '../src/index.ts'
import { pool as everything } from './bson-columns.ts'

/** Columns as a sample of these documents has them. */
export function fieldsOf(documents: readonly Buffer[], options: Partial<FieldOptions> = {}): Field[] {
  const sampler = new FieldSampler(options.nesting !== undefined)
  for (const bytes of documents) sampler.observe(bytes)
  return documentFields(sampler, { overflow: '_overflow', idTypes: [], ...options })
}

export function nesting(some: Partial<Nesting>): Nesting {
  return { objects: 'json', flattenDepth: 1, arrays: 'json', ...some }
}

/** What makes documents of the columns of documents again. */
export function encoderOf(fields: readonly Field[], nulls: 'omit' | 'write' = 'omit'): DocumentEncoder {
  const roleOf = ({ name, declared }: Field): DocumentField['role'] =>
    name === '_id' ? 'id' : declared === 'overflow' ? 'overflow' : 'field'
  return new DocumentEncoder({
    fields: fields.map((field) => ({
      name: field.name,
      type: field.type,
      role: roleOf(field),
      ...(field.declared === 'extended' ? { as: 'extended' as const } : {}),
    })),
    nulls,
    nested: fields.some(({ path }) => path !== undefined),
    pool: everything,
  })
}

interface Options {
  readonly fields: readonly Field[]
  readonly wire?: string
  readonly decode?: readonly number[]
  readonly documents?: boolean
}

export function batchesOf(
  { fields, wire, decode = [], documents = false }: Options,
  pool = new BufferPool(1e9),
): DocumentBatches {
  return new DocumentBatches({ stream: 's', schema: { fields }, wire, decode, pool, overflow: '_overflow', documents })
}

export function laidOut(documents: readonly Buffer[]): {
  data: Uint8Array
  offsets: Int32Array
  rows: number
  release: () => void
} {
  const offsets = new Int32Array(documents.length + 1)
  for (const [row, bytes] of documents.entries()) offsets[row + 1] = (offsets[row] as number) + bytes.length
  return { data: Uint8Array.from(Buffer.concat(documents)), offsets, rows: documents.length, release: () => {} }
}

export const batchOf = (documents: readonly Buffer[], options: Options): RecordBatch =>
  batchesOf(options).make(laidOut(documents))

/** Rows as objects, without what is null. */
export function rowsOf(batch: RecordBatch): Record<string, Value>[] {
  const { fields } = batch.schema
  return Array.from({ length: batch.rows }, (_, row) => {
    const values = fields.map((field, i): [string, Value] => [field.name, valueAt(batch.column(i), row)])
    return Object.fromEntries(values.filter(([, value]) => value !== null))
  })
}
