import type {
  Acceptance,
  DestinationDriver,
  Field,
  Mode,
  Problem,
  Schema,
  StreamRequest,
  TargetInfo,
} from '@nebula/core'
import { utf8 } from '@nebula/core'

const DEFAULT_MODES: readonly Mode[] = ['overwrite', 'append']

/** What a destination is asked about one stream, which has the names that it has there: its own, its columns', its key's. */
export interface StreamOffer {
  readonly request: StreamRequest
  readonly schema: Schema
  readonly wire: readonly string[]
  /** What stands at the target. */
  readonly target: TargetInfo | undefined
  /** Rows of it are to be deleted that the source has no longer. */
  readonly deletes?: boolean
}

/** How a destination would keep a stream, and whether it can in the mode that is asked for. Pure. */
export function acceptStream(driver: DestinationDriver, offer: StreamOffer): Acceptance {
  const { request, schema, wire, target } = offer
  const accepted = driver.accept?.(request, schema, wire, target) ?? asText(schema)
  const problems = modeProblems(driver.modes ?? DEFAULT_MODES, offer)
  if (offer.deletes === true && !driver.sweep) problems.push(NO_DELETES)
  return { ...accepted, problems: [...problems, ...accepted.problems] }
}

/** A field as it is to be kept: a row whose key is null could not be found again to be merged. */
export function keptField<F extends Pick<Field, 'name' | 'nullable'>>(field: F, { mode, key }: StreamRequest): F {
  return mode === 'merge' && key.includes(field.name) ? { ...field, nullable: false } : field
}

/** How a destination without `accept` keeps a stream: every column as text. */
function asText({ fields }: Schema): Acceptance {
  const columns = fields.map(() => ({ as: utf8, type: 'text', fidelity: 'exact' as const }))
  return { columns, ddl: [], guarantee: 'at_least_once', problems: [] }
}

const NO_KEY: Problem = {
  code: 'config_invalid',
  message: 'mode merge needs the columns that tell rows apart: write key: [...], or --key',
}

const NO_DELETES: Problem = {
  code: 'unsupported',
  message: 'the destination cannot find rows that the source has no longer: write deletes: ignore',
}

function modeProblems(modes: readonly Mode[], { request, schema, target }: StreamOffer): Problem[] {
  const { mode, key } = request
  if (!modes.includes(mode)) {
    const message = `the destination has no mode ${mode}, but ${modes.join(', ')}`
    return [{ code: 'unsupported', message }]
  }
  if (mode !== 'merge') return []
  if (key.length === 0) return [NO_KEY]
  const absent = key.filter((name) => !schema.fields.some((field) => field.name === name))
  if (absent.length > 0) {
    const message = `mode merge needs all columns of the key (${key.join(', ')}) at the destination`
    return absent.map((column) => ({ code: 'config_invalid', column, message }))
  }
  const { uniqueKeys } = target ?? {}
  if (!uniqueKeys || uniqueKeys.some((columns) => sameNames(columns, key))) return []
  const found = uniqueKeys.map((columns) => `(${columns.join(', ')})`).join(', ')
  const wanted = `a unique index over (${key.join(', ')}), none of them null`
  const message = `mode merge needs ${wanted}, at the target, which has ${found || 'none'}`
  return [{ code: 'target_incompatible', message }]
}

function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((name) => others.includes(name))
}
