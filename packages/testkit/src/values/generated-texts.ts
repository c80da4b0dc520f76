import type { LogicalType, Value } from '@nebula/core'
import { BatchAssembler, BufferPool, RecordPool } from '@nebula/core'
import fc from 'fast-check'
import { columnTexts } from '../memory/memory-connector.ts'
import { DECIMAL_NAN, nullable, TEXT_TYPES } from './arbitraries.ts'

const POOL_BYTES = 64_000_000

/** A type, and canonical texts of it. */
export interface GeneratedColumn {
  readonly type: LogicalType
  /** Nulls among them. */
  readonly texts: readonly (string | null)[]
}

/**
 * A column of generated values for each type that has a canonical text; the same ones for the same seed. Numbers without
 * bounds are written as databases print them.
 */
export function generatedColumns(rows: number, seed: number): GeneratedColumn[] {
  return TEXT_TYPES.map(([type, values]) => ({ type, texts: generatedTexts(type, values, rows, seed) }))
}

function generatedTexts(
  type: LogicalType,
  arbitrary: fc.Arbitrary<Value>,
  rows: number,
  seed: number,
): (string | null)[] {
  const values = fc.sample(nullable(arbitrary), { numRuns: rows, seed })
  const schema = { fields: [{ name: 'value', type, nullable: true }] }
  const assembler = new BatchAssembler({
    stream: 'generated',
    schema,
    mode: 'columnar',
    limits: { rows: rows + 1, bytes: POOL_BYTES },
    pool: new BufferPool(POOL_BYTES),
    records: new RecordPool(rows),
  })
  for (const value of values) assembler.add({ value: type.kind === 'decimal' && value === DECIMAL_NAN ? 'NaN' : value })
  const batch = assembler.take()
  const texts = batch ? columnTexts(batch.column(0)) : []
  batch?.release()
  return type.kind === 'numeric' ? texts.map(plainNumber) : texts
}

/** Without exponent, and zero without a sign. */
function plainNumber(text: string | null): string | null {
  const [, sign = '', digits = '', zeros = '0'] = /^(-?)([\d.]+)(?:e(\d+))?$/.exec(text ?? '') ?? []
  if (digits === '') return text
  return /[1-9]/.test(digits) ? `${sign}${digits}${'0'.repeat(Number(zeros))}` : digits
}
