import { readFileSync } from 'node:fs'
import { createRequire, findPackageJSON } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Connector } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import { registered } from './registry.ts'

/** The packages that may hold a connector, in the order in which they are tried. */
function candidates(name: string): string[] {
  const isPackage = name.startsWith('@') || name.includes('/') || name.startsWith('nebula-connector-')
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
    const module = await importPackage(candidate, entry)
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

type Module = { readonly [name: string]: unknown }

/** A package that is there and cannot be loaded is not the same as one that is missing. */
async function importPackage(name: string, entry: string): Promise<Module> {
  try {
    return (await import(entry)) as Module
  } catch (cause) {
    throw isNebulaError(cause) ? cause : unloadable(name, cause)
  }
}

function unloadable(name: string, cause: unknown): NebulaError {
  const message = cause instanceof Error ? cause.message : String(cause)
  return new NebulaError('connector_invalid', { message: `The package ${name} cannot be loaded: ${message}`, cause })
}

function exportedConnector(module: Module): Connector | undefined {
  const values = Object.values(module) as Partial<Connector>[]
  const named = values.find((value) => value?.contract === 1 && typeof value.name === 'string')
  return named?.name === undefined ? undefined : registered(named.name)
}

/** The entry of a package as a URL, as seen from `folder`, else from here. */
function resolvePackage(name: string, folder: string): string | undefined {
  for (const base of [join(folder, 'nebula.js'), import.meta.url]) {
    try {
      return pathToFileURL(createRequire(base).resolve(name)).href
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return importEntry(name, base)
      if (code === 'ERR_INVALID_PACKAGE_CONFIG') throw unloadable(name, error)
    }
  }
  return undefined
}

/** The entry of a package that can be imported and not required. */
function importEntry(name: string, base: string): string | undefined {
  const path = findPackageJSON(name, base)
  if (path === undefined) return undefined
  const { exports } = JSON.parse(readFileSync(path, 'utf8')) as { exports?: unknown }
  const root = exports as { '.'?: unknown } | undefined
  const entry = importTarget(root?.['.'] ?? exports)
  return entry === undefined ? undefined : pathToFileURL(join(dirname(path), entry)).href
}

/** https://nodejs.org/api/packages.html#conditional-exports, for `import`. */
function importTarget(target: unknown): string | undefined {
  if (typeof target === 'string') return target
  if (typeof target !== 'object' || target === null) return undefined
  for (const [condition, nested] of Object.entries(target)) {
    const found = ['node', 'import', 'module-sync', 'default'].includes(condition) && importTarget(nested)
    if (found) return found
  }
  return undefined
}
