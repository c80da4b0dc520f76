import type { BufferPool, Schema } from '@nebula/core'
import { loadTransform } from './load-transform.ts'
import type { StreamTransform } from './steps.ts'
import { changesNothing } from './steps.ts'
import { Transformer } from './transformer.ts'

/** What happens to rows on their way, and their columns at both ends of it. */
export interface Shaping {
  readonly transform: StreamTransform
  readonly readSchema: Schema
  readonly writeSchema: Schema
}

/** What the metadata columns say where no run writes them. */
const NO_FACTS = { '@extracted_at': new Date(0).toISOString(), '@run_id': '', '@stream': '', '@partition': '' }

/**
 * Makes transformers for rows that are only compared, so that it does not matter what their metadata columns say.
 * Undefined: rows arrive as they are read.
 */
export async function createShaper(shaping: Shaping): Promise<((pool: BufferPool) => Transformer) | undefined> {
  const { transform, readSchema } = shaping
  if (changesNothing(transform, readSchema.fields.length)) return undefined
  const code = transform.function && (await loadTransform(transform.function))
  return (pool) => new Transformer({ ...shaping, facts: NO_FACTS, code, pool })
}
