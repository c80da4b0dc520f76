import { z } from 'zod'
import { Secret } from './secret.ts'
import { parseDuration, parseSize } from './units.ts'

type UnitSchema = z.ZodType<number, string | number>

/** A duration in a config file (`30s`, `1h30m`, milliseconds), as milliseconds. */
export function duration(): UnitSchema
export function duration(initial: string): z.ZodPrefault<UnitSchema>
export function duration(initial?: string): UnitSchema | z.ZodPrefault<UnitSchema> {
  const schema = unit('duration', 'like 500ms, 30s or 1h30m', parseDuration, DURATION_PATTERN)
  return initial === undefined ? schema : schema.prefault(initial)
}

/** A size in a config file (`64MB`, `64MiB`, bytes), as bytes. */
export function size(): UnitSchema
export function size(initial: string): z.ZodPrefault<UnitSchema>
export function size(initial?: string): UnitSchema | z.ZodPrefault<UnitSchema> {
  const schema = unit('size', 'like 64MB or 64MiB', parseSize, SIZE_PATTERN)
  return initial === undefined ? schema : schema.prefault(initial)
}

/** For editors; a variable may stand in place of both. */
const DURATION_PATTERN = '^\\s*((\\d+(\\.\\d+)?(d|h|ms|m|s))+|\\d+)\\s*$|\\$\\{'
const SIZE_PATTERN = '^\\s*\\d+(\\.\\d+)?\\s*([KkMmGgTt][Ii]?[Bb]|[Bb])?\\s*$|\\$\\{'

function unit(what: string, example: string, parse: (text: string) => number | undefined, pattern: string): UnitSchema {
  return z.union([z.string().meta({ pattern }), z.number().nonnegative()]).transform((value, check) => {
    const parsed = parse(String(value))
    if (parsed === undefined) check.addIssue({ code: 'custom', message: `not a ${what}; write it ${example}` })
    return parsed ?? 0
  })
}

/** A password or key: a string that prints as `***`. */
export function secret(): z.ZodType<Secret, string | Secret> {
  return z
    .union([z.string(), z.instanceof(Secret)])
    .transform((value) => (value instanceof Secret ? value : new Secret(value)))
    .meta({ writeOnly: true })
}

const tlsModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

const count = z.int().positive()
const flag = z.boolean()

const performance = z.strictObject({
  batchSize: count.default(10_000).describe('rows of a batch, at most'),
  batchBytes: size('8MB').describe(
    'bytes of a batch, at most, and an eighth of the memory of a task; a larger row is a batch of its own',
  ),
  bufferBytes: size('0B').describe(
    'bytes of batches that wait for the writer before reading stops, and one batch more; 0: none is read ahead, beside what drivers do themselves',
  ),
  workers: count.optional().describe('partition tasks at once, where the pipeline has no parallel; default: the cores'),
  maxConcurrency: count.default(10).describe('connections at once, at most'),
  flushInterval: duration('10s').describe('a batch that has rows goes on its way after so long, though it is not full'),
  checkpointInterval: duration('10s').describe(
    'a partition that cannot be cut is committed after so long, behind the next position',
  ),
  limit: count.optional().describe('rows of a stream, at most'),
})

const timeouts = z.strictObject({
  connection: duration('10s').describe('until a connection is made and the login accepted'),
  request: duration('30s').describe('until a request is answered; an export or a load may take as long as it needs'),
  queryTimeout: duration('30s').describe('until the first rows of a task arrive, beside flush_interval'),
  read: duration('30s').describe('between two batches of a task, beside flush_interval'),
  write: duration('30s').describe('until the destination has taken a batch'),
  idle: duration('5m').describe('a connection that nobody uses is closed after so long'),
  maxLifetime: duration().optional().describe('a connection is replaced after so long; default: never'),
  keepAlive: duration('30s').describe('a silent connection is probed after so long'),
})

const circuitBreaker = z.strictObject({
  enabled: flag.default(false).describe('stop asking a system that keeps failing, for a while'),
  threshold: count.default(5).describe('failures in a row that open the breaker'),
  timeout: duration('60s').describe('how long it stays open before it lets requests try'),
  halfOpenRequests: count.default(1).describe('requests that try at once then'),
})

const reliability = z.strictObject({
  maxRetries: z.int().nonnegative().default(3).describe('how often a request that may succeed later is tried again'),
  retryDelay: duration('1s').describe('the longest wait before the first retry; the wait is drawn at random'),
  retryMultiplier: z.number().min(1).default(2).describe('how much longer each next wait may be'),
  maxRetryDelay: duration('60s').describe('the longest wait before any retry'),
  circuitBreaker: z
    .preprocess((value) => (typeof value === 'boolean' ? { enabled: value } : value), circuitBreaker)
    .meta({ orBoolean: true })
    .prefault({}),
  rateLimit: z
    .strictObject({
      recordsPerSec: z.number().positive().optional().describe('rows a second, at most'),
      bytesPerSec: size().optional().describe('bytes a second, at most'),
      burst: duration('1s').describe('how much of an unused rate is saved up'),
    })
    .prefault({}),
  healthCheck: z
    .strictObject({
      enabled: flag.default(false).describe('ask the system during a run whether it answers'),
      interval: duration('30s').describe('how often it is asked'),
      timeout: duration('5s').describe('how long it may take to answer'),
    })
    .prefault({}),
  failFast: flag.default(false).describe('the first failure is final: nothing is tried again, and the run stops'),
  maxErrors: z
    .int()
    .nonnegative()
    .default(0)
    .describe('rejected rows of a stream that are kept as dead letters before it fails'),
})

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/

const ssh = z
  .strictObject({
    host: z.string().min(1).describe('server of a tunnel, for connectors that connect over TCP'),
    port: z.int().positive().max(65_535).default(22).describe('of the SSH server'),
    username: z.string().optional().describe('default: the user of the operating system'),
    password: secret().optional().describe('with neither a password nor a key, the SSH agent of SSH_AUTH_SOCK logs in'),
    key: secret().optional().describe('file with the private key'),
    passphrase: secret().optional().describe('of the key, where it is encrypted'),
    fingerprint: z
      .string()
      .refine((text) => FINGERPRINT.test(text), 'not a fingerprint; write it as ssh-keygen -l prints it, SHA256:…')
      // For editors; a variable may stand in its place.
      .meta({ pattern: `${FINGERPRINT.source}|\\$\\{` })
      .describe("of the server's key, as ssh-keygen -l prints it; without it, the key must be in known_hosts")
      .optional(),
    knownHosts: z.string().optional().describe('file with the keys of servers; default: ~/.ssh/known_hosts'),
  })
  .refine(({ fingerprint, knownHosts }) => fingerprint === undefined || knownHosts === undefined, {
    path: ['knownHosts'],
    message: 'a fingerprint takes its place: give one of the two',
  })

const security = z.strictObject({
  tls: z
    .strictObject({
      mode: z.enum(tlsModes).default('prefer').describe('as in libpq: how much of the server must be proven'),
      ca: z.string().optional().describe('file with the certificates of the authorities to trust, PEM'),
      cert: z.string().optional().describe('file with the client certificate, PEM'),
      key: secret().optional().describe('file with the key of the client certificate, PEM'),
      serverName: z.string().optional().describe('name that the server certificate must have'),
    })
    .prefault({}),
  ssh: ssh.optional(),
})

const observability = z.strictObject({
  metrics: flag.default(true).describe('count through the OpenTelemetry API, where a program collects it'),
  tracing: flag.default(false).describe('spans for plan, task and commit through the OpenTelemetry API'),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('warn').describe('least level that is logged'),
  metricsInterval: duration('1s').describe('how often the progress of a run is recorded for its report and its page'),
})

const memory = z.strictObject({
  recordPoolSize: count.default(1024).describe('records that are kept for reuse, at most'),
  bufferPoolBytes: size('32MB').describe(
    'bytes of batches under way, and 16 MB for each task at least; over it nothing new is read',
  ),
  maxMemory: size()
    .optional()
    .describe(
      'bytes of the whole process, of both ends the lower; buffers and tasks are made small and few enough for it',
    ),
})

const advanced = z.strictObject({
  partitionBytes: size().optional().describe('bytes of a partition, about; default: what the destination asks for'),
  compression: z
    .strictObject({
      algorithm: z.enum(['none', 'gzip', 'zstd']).default('none').describe('how files are compressed that are written'),
      level: z.int().min(1).max(22).optional().describe('more is smaller and slower; default: that of the algorithm'),
    })
    .prefault({}),
  storageMode: z
    .enum(['row', 'columnar', 'hybrid'])
    .default('hybrid')
    .describe('how rows are kept between the two ends; hybrid chooses for each batch'),
  schemaEvolution: z
    .enum(['freeze'])
    .default('freeze')
    .describe('freeze: columns of a target that differ from those of its stream are an error'),
  debug: flag.default(false).describe('log each request and batch'),
})

/** Keys that may be written in place of others, in any section. */
export const CONFIG_ALIASES: { readonly [alias: string]: string } = { retryAttempts: 'maxRetries' }

/** The same keys by their own names instead of aliases; an alias beside its own name stays, and is an unknown key. */
function renamed(value: unknown, names: { readonly [alias: string]: string }): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => {
      const name = names[key]
      return [name === undefined || name in value ? key : name, item]
    }),
  )
}

/** What every connector's configuration has beside its own keys. Names are camelCase; files may use snake_case. */
export const BaseConfig = z.strictObject({
  name: z.string().optional().describe('a name for people'),
  performance: performance.prefault({}),
  timeouts: timeouts.prefault({}),
  reliability: z
    .preprocess((value) => renamed(value, CONFIG_ALIASES), reliability)
    .meta({ aliases: CONFIG_ALIASES })
    .prefault({}),
  security: security.prefault({}),
  observability: observability.prefault({}),
  memory: memory.prefault({}),
  advanced: advanced.prefault({}),
})

export type BaseConfig = z.output<typeof BaseConfig>
export type TlsConfig = BaseConfig['security']['tls']
export type SshConfig = NonNullable<BaseConfig['security']['ssh']>
export type CompressionConfig = BaseConfig['advanced']['compression']
