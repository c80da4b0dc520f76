import type { Logger } from '@nebula/core'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LEVELS)[number]

/** Keeps nothing. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

function ignore(): void {}

/** Writes one JSON line per message of at least `level`. Secrets print as `***` by themselves; BigInts as text. */
export function lineLogger(level: LogLevel, write: (line: string) => void): Logger {
  const least = LEVELS.indexOf(level)
  const at = (name: LogLevel) => (LEVELS.indexOf(name) < least ? ignore : log.bind(undefined, name))
  function log(name: LogLevel, message: string, fields?: object): void {
    write(`${JSON.stringify({ time: new Date().toISOString(), level: name, message, ...fields }, printable)}\n`)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

function printable(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Error && !('toJSON' in value) ? { name: value.name, message: value.message } : value
}
