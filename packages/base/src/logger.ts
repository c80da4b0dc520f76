import { createRequire } from 'node:module'
import type { Logger } from '@nebula/core'
import type pino from 'pino'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LEVELS)[number]

/** Keeps nothing. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

function ignore(): void {}

/** Keys whose values never reach a log, to three levels of depth, should somebody log a plain string under them. */
const SECRET_KEYS = [
  'password',
  'passphrase',
  'secret',
  'token',
  'key',
  'url',
  'authorization',
  'cookie',
  'credentials',
]
const SECRET_PATHS = SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`])

/**
 * Writes one JSON line per message of at least `level`: time, level, message, fields. Secrets print as `***` by
 * themselves, and what stands under the key of a secret does too; BigInts as text; errors without stack and cause.
 */
export function lineLogger(level: LogLevel, write: (line: string) => void): Logger {
  const least = LEVELS.indexOf(level)
  let lines: pino.Logger | undefined
  const at = (name: LogLevel) => {
    if (LEVELS.indexOf(name) < least) return ignore
    return (message: string, fields: object = {}): void => {
      lines ??= openPino(write)
      lines[name](fields, message)
    }
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Loaded with the first line: most runs log nothing, and loading takes as long as starting. */
function openPino(write: (line: string) => void): pino.Logger {
  const create = createRequire(import.meta.url)('pino') as typeof pino
  const options: pino.LoggerOptions = {
    level: 'debug',
    base: null,
    messageKey: 'message',
    errorKey: 'error',
    timestamp: create.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }), log: printable },
    serializers: { error: (value: unknown) => value },
    redact: { paths: SECRET_PATHS, censor: '***' },
  }
  return create(options, { write })
}

function printable(fields: object): { [key: string]: unknown } {
  return Object.fromEntries(Object.entries(fields).map(([key, value]: [string, unknown]) => [key, printed(value)]))
}

function printed(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (!(value instanceof Error)) return value
  return 'toJSON' in value && typeof value.toJSON === 'function'
    ? (value.toJSON() as object)
    : { name: value.name, message: value.message }
}
