import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Connector } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import { registered } from './registry.ts'

/** The packages that may hold a connector, in the order in which they are tried. */
function candidates(name: string): string[] {
  const isPackage = name.startsWith('@') || name.includes('/')
  return isPackage ? [name] : [`@nebula/connector-${name}`, `nebula-connector-${name}`]
}

/**
 * The connector of that name: registered already, or by importing its package from `folder`, else from beside this
 * package. A package name may be given instead. Throws `connector_not_found` with what to install.
 */
export async function loadConnector(name: string, folder: string): Promise<Connector> {
  const known = registered(name)
  if (known) return known
  for (const candidate of candidates(name)) {
    const entry = resolvePackage(candidate, folder)
    if (!entry) continue
    const module = (await import(entry)) as { [name: string]: unknown }
    const found = registered(name) ?? exportedConnector(module)
    if (found) return found
    throw new NebulaError('connector_invalid', {
      message: `The package ${candidate} registers no connector "${name}".`,
    })
  }
  throw new NebulaError('connector_not_found', {
    message: `No connector "${name}": looked for the package ${candidates(name).join(', then ')}.`,
    fix: `Install it: npm install ${candidates(name)[0]}`,
  })
}

function exportedConnector(module: { [name: string]: unknown }): Connector | undefined {
  const values = Object.values(module) as Partial<Connector>[]
  const named = values.find((value) => value?.contract === 1 && typeof value.name === 'string')
  return named?.name === undefined ? undefined : registered(named.name)
}

function resolvePackage(name: string, folder: string): string | undefined {
  try {
    return import.meta.resolve(name, pathToFileURL(join(folder, 'nebula.js')).href)
  } catch {
    // Not there: the next place may have it.
  }
  for (const base of [join(folder, 'nebula.js'), import.meta.url]) {
    try {
      return pathToFileURL(createRequire(base).resolve(name)).href
    } catch (error) {
      if (isExported(error)) throw error
    }
  }
  return undefined
}

/** A package that is there and cannot be loaded is not the same as one that is missing. */
function isExported(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ERR_INVALID_PACKAGE_CONFIG'
}
