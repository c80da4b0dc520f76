import { createHash } from 'node:crypto'
import { Secret } from '@nebula/core'
import type { Tree } from './keys.ts'

/** By key. */
export interface Hashes {
  readonly [key: string]: string
}

/** What tells settings apart by their keys: no value, and so no secret, is in it. */
export function hashSettings(settings: Tree): Hashes {
  const given = Object.entries(JSON.parse(JSON.stringify(settings, withoutSecrets)) as Tree)
  return Object.fromEntries(given.map(([key, value]) => [key, hashSetting(value)]))
}

/** Of anything that is JSON. */
export function hashSetting(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12)
}

/** Of a secret that is a url counts what it leads to. */
function withoutSecrets(this: { [key: string]: unknown }, key: string, value: unknown): unknown {
  const original = this[key]
  if (!(original instanceof Secret)) return value
  const url = URL.parse(original.reveal())
  return url ? `${url.protocol}//${url.host}${url.pathname}` : '***'
}
