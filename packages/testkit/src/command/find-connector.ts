import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Connector } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import { loadConnector } from '@nebula/runtime'

/** A file instead of a package. */
const PATH = /^([./\\]|[A-Za-z]:)/

/**
 * The connector of a package, of a name, or of the module at a path. Throws `connector_not_found` with what to install,
 * `connector_invalid`.
 */
export async function findConnector(name: string): Promise<Connector> {
  if (!PATH.test(name)) return loadConnector(name, process.cwd())
  const found = Object.values(await importModule(name)).find(isConnector)
  if (found) return found
  throw new NebulaError('connector_invalid', { message: `The module ${name} exports no connector.` })
}

/** What a module of this computer exports. Throws `file_not_found`, `connector_invalid`. */
export async function importModule(path: string): Promise<{ readonly [name: string]: unknown }> {
  const whole = resolve(path)
  if (!existsSync(whole)) throw new NebulaError('file_not_found', { message: `There is no module ${path}.` })
  try {
    return (await import(pathToFileURL(whole).href)) as { readonly [name: string]: unknown }
  } catch (cause) {
    if (isNebulaError(cause)) throw cause
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new NebulaError('connector_invalid', { message: `The module ${path} cannot be loaded: ${message}`, cause })
  }
}

function isConnector(value: unknown): value is Connector {
  const { contract, name, config } = (value ?? {}) as Partial<Connector>
  return contract === 1 && typeof name === 'string' && config !== undefined
}
