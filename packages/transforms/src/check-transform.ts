import type { Field } from '@nebula/core'
import { NebulaError, parseType, typeNames } from '@nebula/core'
import type { TransformDefinition } from './define-transform.ts'

/** A definition that was found to be one, with its columns as fields. */
export interface CheckedTransform {
  readonly definition: TransformDefinition
  /** What it makes, in the order of its declaration. */
  readonly makes: readonly Field[]
  /** Undefined: every column. */
  readonly reads: readonly string[] | undefined
}

const KEYS: ReadonlySet<string> = new Set(['columns', 'reads', 'record', 'batch'])

/** The default export of a module as a transform. Throws `transform_invalid`; `place` is the file. */
export function checkTransform(exported: unknown, place: string): CheckedTransform {
  const fail = (message: string): NebulaError => new NebulaError('transform_invalid', { message, place })
  if (exported === undefined) throw fail(`${place} has no default export.`)
  if (typeof exported !== 'object' || exported === null)
    throw fail(`The default export of ${place} is no transform: an object with record or batch.`)
  const unknown = Object.keys(exported).find((key) => !KEYS.has(key))
  if (unknown !== undefined)
    throw fail(`The transform of ${place} has a key "${unknown}"; known are ${[...KEYS].join(', ')}.`)
  const { columns = {}, reads, record, batch } = exported as Partial<Record<string, unknown>>
  if ((typeof record === 'function') === (typeof batch === 'function'))
    throw fail(`The transform of ${place} needs one function: record or batch.`)
  const isList = Array.isArray(reads) && reads.every((name) => typeof name === 'string')
  if (reads !== undefined && !isList) throw fail(`reads of the transform of ${place} is no list of column names.`)
  if (typeof columns !== 'object' || columns === null) throw fail(`columns of the transform of ${place} is no object.`)
  const makes = Object.entries(columns).map(([name, text]: [string, unknown]): Field => {
    const type = typeof text === 'string' ? parseType(text) : undefined
    if (!type) throw fail(`columns.${name} of the transform of ${place} is no type; known are ${typeNames.join(', ')}.`)
    return { name, type, nullable: true }
  })
  return { definition: exported as TransformDefinition, makes, reads: isList ? (reads as string[]) : undefined }
}
