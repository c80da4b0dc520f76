import { createHash, createHmac } from 'node:crypto'
import type { Tree } from '@nebula/config'
import { isTree } from '@nebula/config'
import type { Run } from '@nebula/core'
import { BaseConfig, NebulaError, Secret, snakeCase } from '@nebula/core'
import type { Endpoint, Mask, Pipeline } from './pipeline.ts'
import type { AgreedStream } from './plan-stream.ts'

/** The hash of every setting that shapes what a run does, by its name: no value, and so no secret, is in it. */
interface Fingerprint {
  readonly source: Hashes
  readonly destination: Hashes
  /** Which streams the pipeline asks for. */
  readonly asked: string
  readonly streams: { readonly [stream: string]: Hashes }
}

interface Hashes {
  readonly [key: string]: string
}

/** What a pipeline asks for. What the source has meanwhile is another question: see `changedStreams`. */
export function fingerprintOf(pipeline: Pipeline, agreed: readonly AgreedStream[]): string {
  const { only, streams = {} } = pipeline
  const fingerprint: Fingerprint = {
    source: endpointHashes(pipeline.source),
    destination: endpointHashes(pipeline.destination),
    asked: hashOf([only, Object.entries(streams).map(([name, options]) => [name, options !== false])]),
    streams: Object.fromEntries(
      agreed.map(({ request: { stream, mode }, target, options, transform }) => {
        // Of a function counts what it does, and not where it lies.
        const { maxErrors: _maxErrors, allowLoss: _allowLoss, transform: _path, ...shaping } = options
        const mask = options.mask && Object.entries(options.mask).map(([name, how]) => [name, maskIdentity(how)])
        return [stream, hashes({ ...shaping, mask, mode, target, transform: transform.function?.hash })]
      }),
    ),
  }
  return JSON.stringify(fingerprint)
}

/** Throws `config_changed`, naming the settings, when an interrupted run was begun under others than `now`. */
export function refuseChanged({ pipeline, fingerprint }: Run, now: string): void {
  if (fingerprint === now) return
  const changes = changesOf(parsed(fingerprint), JSON.parse(now) as Fingerprint)
  if (changes.length === 0) return
  throw new NebulaError('config_changed', {
    message: `${pipeline} has an interrupted run that was begun with other settings (${changes.join('; ')}).`,
  })
}

function parsed(text: string): Partial<Fingerprint> {
  try {
    const value: unknown = JSON.parse(text)
    return isTree(value) ? value : {}
  } catch {
    return {}
  }
}

function changesOf(before: Partial<Fingerprint>, now: Fingerprint): string[] {
  const asked = before.asked !== now.asked
  const streams = new Set([...Object.keys(before.streams ?? {}), ...Object.keys(now.streams)])
  return [
    ...changedKeys('source', before.source, now.source),
    ...changedKeys('destination', before.destination, now.destination),
    ...[...streams].flatMap((stream) => {
      const [then, since] = [before.streams?.[stream], now.streams[stream]]
      if (then && since) return changedKeys(`stream ${stream}`, then, since)
      // What only the source has more or less of is no change of the pipeline.
      if (!asked) return []
      return [`stream ${stream} ${since ? 'was not asked for then' : 'is not asked for any more'}`]
    }),
  ]
}

function changedKeys(where: string, before: Hashes = {}, now: Hashes = {}): string[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])].filter((key) => before[key] !== now[key])
  return keys.length === 0 ? [] : [`${where}: ${keys.map(snakeCase).join(', ')}`]
}

/** Another key makes other values, and so another run; the key itself stands nowhere. */
function maskIdentity(mask: Mask): string {
  return typeof mask === 'string' ? mask : createHmac('sha256', mask.hmac.reveal()).update('nebula').digest('hex')
}

/** Which system an endpoint is, without its secrets: a new password or time limit does not make another pipeline. */
function endpointHashes({ connector, config }: Endpoint): Hashes {
  const own = Object.entries(config).filter(([key]) => !(key in BaseConfig.shape))
  return hashes({ connector: connector.name, ...Object.fromEntries(own) })
}

function hashes(settings: Tree): Hashes {
  const given = Object.entries(JSON.parse(JSON.stringify(settings, withoutSecrets)) as Tree)
  return Object.fromEntries(given.map(([key, value]) => [key, hashOf(value)]))
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12)
}

function withoutSecrets(this: { [key: string]: unknown }, key: string, value: unknown): unknown {
  const original = this[key]
  if (!(original instanceof Secret)) return value
  const url = URL.parse(original.reveal())
  return url ? `${url.protocol}//${url.host}${url.pathname}` : '***'
}
