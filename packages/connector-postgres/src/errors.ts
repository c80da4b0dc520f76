import type { ErrorCode } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'

/** SQLSTATE, or the first two characters of its class, to our code (PostgreSQL appendix A). Others: `query_failed`. */
const SQLSTATES: Readonly<Record<string, ErrorCode>> = {
  '08': 'connection_lost',
  '22': 'row_rejected',
  '23': 'row_rejected',
  '25006': 'permission_denied', // read-only server
  '25P03': 'connection_lost',
  '28': 'authentication_failed',
  '3D000': 'database_not_found',
  '40': 'conflict',
  '42501': 'permission_denied',
  '53': 'server_busy',
  '53100': 'disk_full',
  '54000': 'row_rejected',
  '55P03': 'timeout',
  '57014': 'timeout',
  '57P01': 'connection_lost',
  '57P02': 'connection_lost',
  '57P03': 'server_busy',
  '57P04': 'database_not_found',
  '57P05': 'connection_lost',
  '58030': 'disk_full',
}

/** Codes of Node's network, TLS and of the driver. */
const NODE_CODES: Readonly<Record<string, ErrorCode>> = {
  ECONNREFUSED: 'connection_failed',
  ENOTFOUND: 'connection_failed',
  EAI_AGAIN: 'connection_failed',
  EHOSTUNREACH: 'connection_failed',
  ENETUNREACH: 'connection_failed',
  ENOENT: 'connection_failed',
  EACCES: 'connection_failed',
  ETIMEDOUT: 'connection_lost',
  ECONNRESET: 'connection_lost',
  EPIPE: 'connection_lost',
  EPROTO: 'tls_failed',
}

/** What pg says in words only, and TLS in too many codes. */
const MESSAGES: readonly (readonly [RegExp, ErrorCode])[] = [
  [/does not support SSL|SSL connection|certificate|altnames|CERT_|ERR_TLS|ERR_SSL|ERR_OSSL/i, 'tls_failed'],
  [/timeout expired/, 'connection_failed'],
  [/SASL|password must be/, 'authentication_failed'],
  [/Connection terminated|not queryable|Stream was destroyed|write after end|ERR_STREAM/i, 'connection_lost'],
]

/** The fields of a server's ErrorResponse that are read here. */
export interface ServerError extends Error {
  readonly code?: string
  readonly where?: string
  readonly column?: string
}

export function errorCode(error: unknown): ErrorCode {
  const { code = '', message } = error as ServerError
  const known = SQLSTATES[code] ?? SQLSTATES[code.slice(0, 2)] ?? NODE_CODES[code]
  if (known) return known
  return MESSAGES.find(([pattern]) => pattern.test(`${code} ${message}`))?.[1] ?? 'query_failed'
}

/** What the server said, without its detail and without the values that data errors quote. */
export function serverMessage(error: unknown): string {
  const { code = '', message } = error as ServerError
  const text = code.startsWith('22') && code !== '22021' ? message.replace(/:? ?".*"/s, '') : message
  return text.replace(/\.$/, '')
}

/** The error as a NebulaError; `doing` says what for, as in `Reading public.orders`. */
export function postgresError(error: unknown, doing?: string): NebulaError {
  if (isNebulaError(error)) return error
  const message = `${doing === undefined ? '' : `${doing}: `}${serverMessage(error)}.`
  return new NebulaError(errorCode(error), { message, connector: 'postgres', cause: error })
}
