import { createHmac } from 'node:crypto'
import type { Hashes, Tree } from '@nebula/config'
import { hashSetting, hashSettings, isTree } from '@nebula/config'
import type { Run } from '@nebula/core'
import { BaseConfig, NebulaError, snakeCase, typeName } from '@nebula/core'
import type { FoundTransform } from '@nebula/transforms'
import type { Endpoint, Mask, Pipeline, StreamOptions } from './pipeline.ts'
import type { AgreedStream } from './plan-stream.ts'
import type { SelectedStream } from './select-streams.ts'

/** The hash of every setting that shapes what a run does, by its name: no value, and so no secret, is in it. */
interface Fingerprint {
  readonly source: Hashes
  readonly destination: Hashes
  /** Which streams the pipeline asks for. */
  readonly asked: string
  readonly streams: { readonly [stream: string]: Hashes }
}

/** What a pipeline asks for. What the source has meanwhile is another question: see `changedStreams`. */
export function fingerprintOf(pipeline: Pipeline, agreed: readonly AgreedStream[]): string {
  const { only, streams = {} } = pipeline
  const fingerprint: Fingerprint = {
    source: endpointHashes(pipeline.source),
    destination: endpointHashes(pipeline.destination),
    asked: hashSetting([only, Object.entries(streams).map(([name, options]) => [name, options !== false])]),
    streams: Object.fromEntries(
      agreed.map(({ request: { stream, mode }, target, options, transform }) => {
        return [stream, hashSettings({ ...shapingOf(options), mode, target, transform: transform.function?.hash })]
      }),
    ),
  }
  return JSON.stringify(fingerprint)
}

/** What the rows of a stream come from, and what is done to them; of a function counts what it does, not where it lies. */
function shapingOf({
  maxErrors: _maxErrors,
  allowLoss: _allowLoss,
  transform: _path,
  ...shaping
}: StreamOptions): Tree {
  const mask = shaping.mask && Object.entries(shaping.mask).map(([name, how]) => [name, maskIdentity(how)])
  return { ...shaping, mask }
}

/** On what the highest value of a cursor depends beside the rows that came: see `CursorMark`. */
export function cursorBasis(source: Endpoint, { info, options }: SelectedStream, code?: FoundTransform): string {
  const { lag: _lag, deletes: _deletes, ...shaping } = shapingOf(options)
  const cursor = info.schema.fields.find(({ name }) => name === options.cursor)
  const read = [info.name, cursor?.declared, cursor && typeName(cursor.type), code?.reference.hash]
  return hashSetting([read, endpointHashes(source), hashSettings(shaping)])
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
  return hashSettings({ connector: connector.name, ...Object.fromEntries(own) })
}
