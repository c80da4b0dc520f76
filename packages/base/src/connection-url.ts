import { NebulaError } from '@nebula/core'

/** The parts of a URL that are there, decoded. */
export interface ConnectionUrl {
  readonly host?: string
  readonly port?: string
  readonly user?: string
  readonly password?: string
  /** Behind the first slash. */
  readonly database?: string
  /** What stands behind the question mark. */
  readonly options: ReadonlyMap<string, string>
}

/** Strictly encoded first; else the last `@` ends a password that holds `@`, `/` or `:` as it is. */
const STRICT = /^[a-z]+:\/\/(?:([^@/?]*)@)?(\[[^\]]*\]|[^:/?@]*)(?::(\d+))?(?:\/([^?@]*))?(?:\?(.*))?$/is
const LENIENT = /^[a-z]+:\/\/(?:(.*)@)?(\[[^\]]*\]|[^:/?@]*)(?::(\d+))?(?:\/([^?]*))?(?:\?(.*))?$/is

/**
 * Reads `scheme://user:password@host:port/database?key=value`, percent-encoded or not, with IPv6 hosts in brackets.
 * Throws `config_invalid`, whose message holds no part of the URL, when it is none or of another scheme.
 */
export function parseConnectionUrl(url: string, schemes: readonly string[]): ConnectionUrl {
  const known = schemes.includes(url.slice(0, Math.max(0, url.indexOf('://'))).toLowerCase())
  const match = known ? (STRICT.exec(url) ?? LENIENT.exec(url)) : null
  if (!match) {
    throw new NebulaError('config_invalid', {
      message: `The url is not ${schemes[0]}://user:password@host:port/database.`,
    })
  }
  const [, login = '', host = '', port = '', database = '', query = ''] = match
  const [user = '', password = ''] = login.split(/:(.*)/s)
  const parts = { user, password, host: host.replace(/^\[(.*)\]$/, '$1'), port, database }
  const found = Object.entries(parts).flatMap(([key, value]) => (value === '' ? [] : [[key, decode(value)]]))
  const options = query.split('&').map((pair) => pair.split(/=(.*)/s).map(decode))
  return {
    ...(Object.fromEntries(found) as Partial<typeof parts>),
    options: new Map(options.filter(([key]) => key !== '').map(([key = '', value = '']) => [key, value])),
  }
}

function decode(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (bytes) => Buffer.from(bytes.replaceAll('%', ''), 'hex').toString())
}
