import { z } from 'zod'
import { Secret } from './secret.ts'
import { parseDuration, parseSize } from './units.ts'

type UnitSchema = z.ZodType<number, string | number>

/** A duration in a config file (`30s`, `1h30m`, milliseconds), as milliseconds. */
export function duration(): UnitSchema
export function duration(initial: string): z.ZodPrefault<UnitSchema>
export function duration(initial?: string): UnitSchema | z.ZodPrefault<UnitSchema> {
  const schema = unit('duration', 'like 500ms, 30s or 1h30m', parseDuration)
  return initial === undefined ? schema : schema.prefault(initial)
}

/** A size in a config file (`64MB`, `64MiB`, bytes), as bytes. */
export function size(): UnitSchema
export function size(initial: string): z.ZodPrefault<UnitSchema>
export function size(initial?: string): UnitSchema | z.ZodPrefault<UnitSchema> {
  const schema = unit('size', 'like 64MB or 64MiB', parseSize)
  return initial === undefined ? schema : schema.prefault(initial)
}

function unit(what: string, example: string, parse: (text: string) => number | undefined): UnitSchema {
  return z.union([z.string(), z.number().nonnegative()]).transform((value, check) => {
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
}

const tlsModes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

const performance = z.strictObject({
  batchSize: z.int().positive().default(10_000).describe('rows of a batch, at most'),
  batchBytes: size('2MB').describe('bytes of a batch, at most; a larger row is a batch of its own'),
  maxConcurrency: z.int().positive().default(10).describe('connections at once, at most'),
})

const timeouts = z.strictObject({
  connection: duration('10s').describe('until a connection is made and the login accepted'),
  request: duration('30s').describe('until a request is answered; an export or a load may take as long as it needs'),
})

const reliability = z.strictObject({
  maxErrors: z
    .int()
    .nonnegative()
    .default(0)
    .describe('rejected rows of a stream that are kept as dead letters before it fails'),
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
})

const observability = z.strictObject({
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('warn').describe('least level that is logged'),
})

const memory = z.strictObject({
  bufferPoolBytes: size('32MB').describe(
    'bytes of batches under way, and 16 MB for each task at least; over it nothing new is read',
  ),
})

const advanced = z.strictObject({
  partitionBytes: size().optional().describe('bytes of a partition, about; default: what the destination asks for'),
})

/** What every connector's configuration has beside its own keys. Names are camelCase; files may use snake_case. */
export const BaseConfig = z.strictObject({
  name: z.string().optional().describe('a name for people'),
  performance: performance.prefault({}),
  timeouts: timeouts.prefault({}),
  reliability: reliability.prefault({}),
  security: security.prefault({}),
  observability: observability.prefault({}),
  memory: memory.prefault({}),
  advanced: advanced.prefault({}),
})

export type BaseConfig = z.output<typeof BaseConfig>
export type TlsConfig = BaseConfig['security']['tls']
