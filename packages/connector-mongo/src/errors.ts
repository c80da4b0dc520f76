import type { Context, ErrorCode, Partition } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'

/** Codes of the server, Node's codes, labels, and the driver's classes, by ours. Others: `query_failed`. */
const VENDOR_CODES: { readonly [code in ErrorCode]?: string } = {
  authentication_failed: '11 18 334 MongoMissingCredentialsError',
  config_invalid: 'MongoParseError MongoInvalidArgumentError MongoMissingDependencyError',
  conflict: '46 112 117 225 251 TransientTransactionError',
  connection_failed:
    '6 7 ECONNREFUSED ENOTFOUND EAI_AGAIN ENODATA EHOSTUNREACH ENETUNREACH ENOENT EACCES MongoServerSelectionError',
  connection_lost: `43 89 175 237 9001 ECONNRESET EPIPE ETIMEDOUT MongoNetworkError MongoNetworkTimeoutError
    MongoPoolClearedError MongoPoolClosedError MongoTopologyClosedError MongoNotConnectedError MongoClientClosedError
    MongoServerClosedError MongoStalePrimaryError MongoExpiredSessionError PoolClearedOnNetworkError
    UnknownTransactionCommitResult`,
  disk_full: '14031',
  permission_denied: '13',
  row_rejected: '15 22 52 53 55 56 57 121 10334 11000 11001 17280 17419',
  // Among them: the node is no primary, or no longer one.
  server_busy: '91 133 134 189 365 391 462 10058 10107 11600 11602 13388 13435 13436 RetryableWriteError',
  timeout: '24 50 64 202 262 MongoOperationTimeoutError MongoWaitQueueTimeoutError',
  // The moment of a snapshot is no longer kept, or the collection was made since.
  source_changed: '239 246',
  unsupported: '59 115 MongoCompatibilityError',
}
const CODES = new Map(
  Object.entries(VENDOR_CODES).flatMap(([code, vendor]) => vendor.split(/\s+/).map((key) => [key, code as ErrorCode])),
)

/** What is said in words only, or in too many codes. */
const MESSAGES: readonly (readonly [RegExp, ErrorCode])[] = [
  [/secure TLS|certificate|altnames|CERT_|ERR_(TLS|SSL|OSSL)|EPROTO|SSL routines|wrong version number/i, 'tls_failed'],
  [/bad auth|authentication failed/i, 'authentication_failed'],
  [/not authorized|not allowed to do action/i, 'permission_denied'],
]

/** The fields of the driver's errors that are read here. */
interface DriverError extends Error {
  readonly code?: number | string
  readonly errorLabels?: readonly string[]
  /** Of a MongoServerSelectionError: what each server said. */
  readonly reason?: { readonly servers?: ReadonlyMap<string, { readonly error: Error | null }> }
}

/** The error and what caused it, outermost first. */
function chain(error: unknown): DriverError[] {
  if (!(error instanceof Error)) return []
  const { reason, cause } = error as DriverError
  const servers = reason?.servers instanceof Map ? [...reason.servers.values()].map((server) => server.error) : []
  return [error as DriverError, ...[cause, ...servers].flatMap(chain)]
}

export function errorCode(error: unknown): ErrorCode {
  const links = chain(error)
  const said = links.map(({ code, name, message }) => `${code} ${name} ${message}`).join('\n')
  const codes = links.flatMap(({ code, errorLabels = [] }) => [String(code), ...errorLabels])
  const known = [...codes, ...links.map(({ name }) => name)].find((key) => CODES.has(key)) ?? ''
  return MESSAGES.find(([pattern]) => pattern.test(said))?.[1] ?? CODES.get(known) ?? 'query_failed'
}

/** What was said, without what the server quotes: values of documents, and the command with its filter. */
export function serverMessage(error: unknown): string {
  const { message, name } = error as DriverError
  // The driver quotes the whole url, with the password.
  if (name === 'MongoParseError' && /:\/\/|@/.test(message)) return 'The url cannot be read'
  const text = message.replace(/ dup key:.*| *\{.*\}?/s, '').replace(/(["']).*\1/s, '…')
  return text.replace(/[.:,]?\s*$/, '')
}

/** The error of a task; what fails because the run is stopped is `aborted`. */
export function taskError(error: unknown, { signal }: Context, partition: Partition, doing?: string): NebulaError {
  if (signal.aborted) return new NebulaError('aborted', { message: 'The work was interrupted.', cause: error })
  return mongoError(error, doing).at({ connector: 'mongo', stream: partition.stream, partition: partition.id })
}

/** The error as a NebulaError; `doing` says what for, as in `Reading shop.orders`. */
export function mongoError(error: unknown, doing?: string): NebulaError {
  if (isNebulaError(error)) return error
  const message = `${doing === undefined ? '' : `${doing}: `}${serverMessage(error)}.`
  return new NebulaError(errorCode(error), { message, connector: 'mongo', cause: error })
}
