import { lstatSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Makes the folder below `parent` in which programs are kept for all runs of this user. A folder of this user only may
 * hold programs: in a shared temporary folder somebody else may have made it.
 */
export function cacheFolder(parent: string, name: string): string {
  const folder = join(parent, `nebula-${name}-${process.getuid?.() ?? 0}`)
  mkdirSync(folder, { mode: 0o755, recursive: true })
  const entry = lstatSync(folder)
  if (entry.uid === process.getuid?.() && (entry.mode & 0o22) === 0 && entry.isDirectory()) return folder
  throw new Error(`${folder} belongs to another user. Remove it, or set TMPDIR to a folder of your own.`)
}
