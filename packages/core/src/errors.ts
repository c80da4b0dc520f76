import type { ErrorCode, ErrorText } from './error-codes.ts'
import { ERROR_CODES } from './error-codes.ts'

/** Where an error happened, for people; never a value of the data and never a secret. */
export interface ErrorPlace {
  readonly connector?: string
  readonly stream?: string
  readonly partition?: string
  /** File and line, key path, ctid, ... */
  readonly place?: string
}

export interface ErrorDetails extends ErrorPlace {
  /** What happened, here. */
  readonly message: string
  /** What to do, where it is more specific than the catalogue's advice. */
  readonly fix?: string
  /** Overrides the catalogue: this one may, or may not, succeed when it is tried again. */
  readonly retryable?: boolean
  /** The system asks not to be tried again before so many milliseconds. */
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

/**
 * The only error that leaves a Nebula package. Compare `code`, not the class: two copies of this package may be
 * installed.
 */
export class NebulaError extends Error {
  override readonly name = 'NebulaError'
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
  readonly fix: string
  readonly connector: string | undefined
  readonly stream: string | undefined
  readonly partition: string | undefined
  readonly place: string | undefined

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(details.message, details.cause === undefined ? undefined : { cause: details.cause })
    const entry: ErrorText = ERROR_CODES[code]
    this.code = code
    this.retryable = details.retryable ?? entry.retryable
    this.retryAfterMs = details.retryAfterMs
    this.fix = details.fix ?? entry.fix
    this.connector = details.connector
    this.stream = details.stream
    this.partition = details.partition
    this.place = details.place
  }

  get exitCode(): number {
    return ERROR_CODES[this.code].exit
  }

  /** The same error with the places that it lacks. */
  at(place: ErrorPlace): NebulaError {
    const { message, fix, retryable, retryAfterMs, cause } = this
    const known = Object.fromEntries(
      (['connector', 'stream', 'partition', 'place'] as const)
        .map((key) => [key, this[key] ?? place[key]])
        .filter(([, value]) => value !== undefined),
    ) as ErrorPlace
    const error = new NebulaError(this.code, {
      message,
      fix,
      retryable,
      cause,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...known,
    })
    if (this.stack) error.stack = this.stack
    return error
  }

  toJSON(): Record<string, unknown> {
    const { code, message, fix, retryable, connector, stream, partition, place } = this
    return { code, message, fix, retryable, connector, stream, partition, place }
  }
}

/** True for a NebulaError of any copy of this package; with `code`, only for that code. */
export function isNebulaError(error: unknown, code?: ErrorCode): error is NebulaError {
  const named = error instanceof Error && error.name === 'NebulaError' && 'code' in error
  return named && (code === undefined || error.code === code)
}

/** A NebulaError as it is; anything else as `internal` with the original as its cause. */
export function toNebulaError(error: unknown): NebulaError {
  if (isNebulaError(error)) return error
  const message = error instanceof Error ? error.message : String(error)
  return new NebulaError('internal', { message: `Unexpected: ${message}`, cause: error })
}
