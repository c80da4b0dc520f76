import { userInfo } from 'node:os'
import { parseConnectionUrl } from '@nebula/base'
import type { TlsConfig } from '@nebula/core'
import { BaseConfig, NebulaError, secret, Secret } from '@nebula/core'

/** Shapes of core's own keys, so that there is one copy of zod. */
const text = BaseConfig.shape.name
const positive = BaseConfig.shape.performance.unwrap().shape.maxConcurrency.unwrap()
const tlsConfig = BaseConfig.shape.security.unwrap().shape.tls

export const PostgresConfig = BaseConfig.extend({
  url: secret().optional().describe('postgres://user:password@host:port/database; keys beside it win'),
  host: text.describe('name, address, or the folder of a socket; default: localhost'),
  port: positive.max(65_535).optional().describe('default: 5432'),
  database: text.describe('default: the name of the user'),
  username: text.describe('default: the user of the operating system'),
  password: secret().optional().describe('default: PGPASSWORD, then the password file, as in libpq'),
  schema: text.unwrap().min(1).default('public').describe('of targets that name none, and of nebula_checkpoints'),
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

/** What a URL says, in the words of libpq. */
type Words = Readonly<Record<string, string>>

const WORDS = 'host port user password dbname options sslmode sslrootcert sslcert sslkey'.split(' ')

/** Throws `config_invalid` for a URL that cannot be read; no message holds a value of it. */
export function resolveLogin(config: PostgresConfig): Login {
  const words = config.url ? urlWords(config.url.reveal()) : {}
  const user = config.username ?? words['user'] ?? userInfo().username
  return {
    host: config.host ?? words['host'] ?? 'localhost',
    port: config.port ?? Number(words['port'] ?? 5432),
    database: config.database ?? words['dbname'] ?? user,
    user,
    password: config.password?.reveal() ?? words['password'],
    tls: urlTls(config.security.tls, words),
    options: words['options'],
  }
}

/** Words behind the question mark win. */
function urlWords(text: string): Words {
  const { options, database: dbname, ...url } = parseConnectionUrl(text, ['postgres', 'postgresql'])
  const unknown = [...options.keys()].find((word) => !WORDS.includes(word))
  if (unknown !== undefined) throw invalid(`url has "${unknown}", which Nebula does not know`)
  return { ...url, ...(dbname && { dbname }), ...Object.fromEntries(options) }
}

/** Keys of `security.tls` win, but for the mode. */
function urlTls(tls: TlsConfig, { sslmode, sslrootcert: ca, sslcert: cert, sslkey: key }: Words): TlsConfig {
  const mode = sslmode === 'allow' ? 'prefer' : sslmode
  const known = tlsConfig.safeParse({ ...tls, ...(mode && { mode }) })
  if (!known.success)
    throw invalid('url has an sslmode that is none of disable, prefer, require, verify-ca, verify-full')
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key: new Secret(key) }), ...known.data }
}

function invalid(what: string): NebulaError {
  return new NebulaError('config_invalid', { message: `The ${what}.` })
}
