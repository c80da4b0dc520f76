import { readFileSync } from 'node:fs'
import { NebulaError } from '@nebula/core'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Replaces `${VAR}`, `${VAR:-default}` and `${file:/path}` (its content without the last newline) in a text. `$${` is a
 * plain `${`. Throws `variable_missing` or `file_not_found`, naming `place`.
 */
export function interpolate(text: string, environment: Environment, place: string): string {
  return text.replace(/(\$?)\$\{([^}]*)\}/g, (whole, escape: string, inside: string) => {
    if (escape) return whole.slice(1)
    if (inside.startsWith('file:')) return fileContent(inside.slice(5), place)
    const cut = inside.indexOf(':-')
    const name = cut < 0 ? inside : inside.slice(0, cut)
    const value = environment[name]
    if (value !== undefined && (value !== '' || cut < 0)) return value
    if (cut >= 0) return inside.slice(cut + 2)
    throw new NebulaError('variable_missing', { message: `\${${name}} is not set.`, place })
  })
}

function fileContent(path: string, place: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (cause) {
    throw new NebulaError('file_not_found', { message: `\${file:${path}} cannot be read.`, place, cause })
  }
}
