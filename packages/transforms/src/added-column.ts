import type { Field } from '@nebula/core'
import { nearest, utf8 } from '@nebula/core'
import type { ColumnOrigin, Metadata } from './steps.ts'
import { METADATA } from './steps.ts'

/** A column that no source has, as the pipeline file says it: a constant, or `@` and what is known of the row. */
export type AddedValue = string | number | boolean

export interface AddedColumn {
  readonly field: Field
  readonly origin: Exclude<ColumnOrigin, number>
}

/** The column that is added under a name, or what is wrong with its value. `@@text` is the text `@text`. */
export function addedColumn(name: string, value: AddedValue): AddedColumn | string {
  const type = typeOf(value)
  if (typeof value === 'number' && !Number.isFinite(value)) return `add.${name} is no finite number`
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
    return `add.${name} has more digits than a number of a pipeline file keeps; write it in quotes, and cast it`
  if (typeof value === 'string' && /^@[^@]/.test(value)) return metadataColumn(name, value)
  const text = typeof value === 'string' ? value.replace(/^@@/, '@') : String(value)
  if (!text.isWellFormed()) return `add.${name} holds half a character`
  return { field: { name, type, nullable: false }, origin: { type, value: text } }
}

function metadataColumn(name: string, value: string): AddedColumn | string {
  const metadata: Metadata | undefined = METADATA.find((known) => known === value)
  if (metadata === undefined) {
    const near = nearest(value, METADATA)
    const hint = near === undefined ? `known are ${METADATA.join(', ')}` : `did you mean ${near}?`
    return `add.${name}: there is no ${value}; ${hint} (@${value} is that text)`
  }
  const type = metadata === '@extracted_at' ? ({ kind: 'timestamp', zone: true } as const) : utf8
  return { field: { name, type, nullable: false }, origin: { type, metadata } }
}

function typeOf(value: AddedValue): Field['type'] {
  if (typeof value === 'string') return utf8
  if (typeof value === 'boolean') return { kind: 'bool' }
  return Number.isInteger(value) ? { kind: 'int64' } : { kind: 'float64' }
}
