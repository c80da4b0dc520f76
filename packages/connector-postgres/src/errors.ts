import type { ErrorCode } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'

/** SQLSTATEs, or their first two characters (PostgreSQL appendix A), and Node's codes, by ours. Others: `query_failed`. */
const VENDOR_CODES: { readonly [code in ErrorCode]?: string } = {
  authentication_failed: '28',
  conflict: '40',
  connection_failed: 'ECONNREFUSED ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH ENOENT EACCES',
  connection_lost: '08 25P03 57P01 57P02 57P05 ETIMEDOUT ECONNRESET EPIPE',
  database_not_found: '3D000 57P04',
  disk_full: '53100 58030',
  permission_denied: '25006 42501', // 25006: a server that may only be read
  row_rejected: '22 23 54000',
  server_busy: '53 57P03',
  timeout: '55P03 57014',
  tls_failed: 'EPROTO',
}
const CODES = new Map(
  Object.entries(VENDOR_CODES).flatMap(([code, vendor]) => vendor.split(' ').map((key) => [key, code as ErrorCode])),
)

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

function errorCode(error: unknown): ErrorCode {
  const { code = '', message } = error as ServerError
  const known = CODES.get(code) ?? CODES.get(code.slice(0, 2))
  return known ?? MESSAGES.find(([pattern]) => pattern.test(`${code} ${message}`))?.[1] ?? 'query_failed'
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
