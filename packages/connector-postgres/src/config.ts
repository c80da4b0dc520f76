import { userInfo } from 'node:os'
import { BaseConfig, NebulaError, secret, Secret } from '@nebula/core'
import type { TlsConfig } from '@nebula/core'

/** Shapes of core's own keys, so that there is one copy of zod. */
const text = BaseConfig.shape.name
const positive = BaseConfig.shape.performance.unwrap().shape.maxConcurrency.unwrap()

export const PostgresConfig = BaseConfig.extend({
  url: secret().optional().describe('postgres://user:password@host:port/database; keys beside it win'),
  host: text.describe('name, address, or the folder of a socket; default: localhost'),
  port: positive.max(65_535).optional().describe('default: 5432'),
  database: text.describe('default: the name of the user'),
  username: text.describe('default: the user of the operating system'),
  password: secret().optional().describe('default: PGPASSWORD, then the password file, as in libpq'),
  schema: text
    .unwrap()
    .min(1)
    .default('public')
    .describe('schema of targets that name none, and of nebula_checkpoints'),
})

export type PostgresConfig = (typeof PostgresConfig)['_output']

/** Where and how to log in, from the URL and the keys beside it. */
export interface Login {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string | undefined
  readonly tls: TlsConfig
  /** Options for the server, such as `-c search_path=app`. */
  readonly options: string | undefined
}

/** Throws `config_invalid` for a URL that cannot be read; no message holds any of it. */
export function resolveLogin(config: PostgresConfig): Login {
  const url: Parts = config.url ? parseUrl(config.url.reveal()) : {}
  const user = config.username ?? url.user ?? userInfo().username
  return {
    host: config.host ?? url.host ?? 'localhost',
    port: config.port ?? Number(url.port ?? 5432),
    database: config.database ?? url.dbname ?? user,
    user,
    password: config.password?.reveal() ?? url.password,
    tls: urlTls(config.security.tls, url),
    options: url.options,
  }
}

type Parts = { [Key in (typeof URL_KEYS)[number]]?: string }

/** What a URL may say behind its question mark, in the words of libpq. */
const URL_KEYS = [
  'host',
  'port',
  'user',
  'password',
  'dbname',
  'options',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
] as const

/** Strictly encoded first; else the last `@` ends a password that holds `@`, `/` or `:` as it is. */
const STRICT = /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?(\[[^\]]*\]|[^:/?@]*)(?::(\d+))?(?:\/([^?@]*))?(?:\?(.*))?$/is
const LENIENT = /^postgres(?:ql)?:\/\/(?:(.*)@)?(\[[^\]]*\]|[^:/?@]*)(?::(\d+))?(?:\/([^?]*))?(?:\?(.*))?$/is

function parseUrl(url: string): Parts {
  const match = STRICT.exec(url) ?? LENIENT.exec(url)
  if (!match) throw invalid('url is not postgres://user:password@host:port/database')
  const [, login, host, port, dbname, query] = match
  const [user, password] = login === undefined ? [] : [login.replace(/:.*/s, ''), /:(.*)/s.exec(login)?.[1]]
  const parts = { user, password, host: host?.replace(/^\[(.*)\]$/, '$1'), port, dbname }
  const found: Parts = {}
  for (const [key, value] of Object.entries(parts)) if (value) found[key as keyof Parts] = decode(value)
  for (const pair of query ? query.split('&') : []) {
    const [key = '', value = ''] = pair.split(/=(.*)/s).map(decode)
    if (!URL_KEYS.includes(key as keyof Parts)) throw invalid(`url has "${key}", which Nebula does not know`)
    found[key as keyof Parts] = value
  }
  return found
}

function decode(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (bytes) => Buffer.from(bytes.replaceAll('%', ''), 'hex').toString())
}

function urlTls(tls: TlsConfig, url: Parts): TlsConfig {
  const mode = url.sslmode === 'allow' ? 'prefer' : url.sslmode
  const known = BaseConfig.shape.security.unwrap().shape.tls.safeParse({ ...tls, ...(mode && { mode }) })
  if (!known.success)
    throw invalid('url has an sslmode that is none of disable, prefer, require, verify-ca, verify-full')
  const { sslrootcert: ca, sslcert: cert, sslkey: key } = url
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key: new Secret(key) }), ...known.data }
}

function invalid(what: string): NebulaError {
  return new NebulaError('config_invalid', { message: `The ${what}.` })
}
