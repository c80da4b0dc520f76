import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cacheFolder } from './cache-folder.ts'

const FOLDER = fileURLToPath(new URL('../java', import.meta.url))
const SOURCES = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.java'))
  .map((name) => join(FOLDER, name))
  .toSorted()
const POM = join(FOLDER, 'pom.xml')
const OUTPUT_BYTES = 16 * 1024 * 1024
const underWay = new Map<string, Promise<void>>()

/** A program of the JDK: that of `JAVA_HOME`, else the one on PATH. */
export function javaProgram(name: string): string {
  const home = process.env['JAVA_HOME']
  return home === undefined || home === '' ? name : join(home, 'bin', name)
}

/**
 * Returns the class path of the stand-in. Its libraries come from Maven and its own classes are compiled once for all
 * runs, into a folder below `cache` that stands for both.
 */
export async function standInClassPath(cache = tmpdir()): Promise<string> {
  const inputs = createHash('sha256')
  for (const file of [POM, ...SOURCES]) inputs.update(readFileSync(file))
  const folder = join(cacheFolder(cache, 'mongo-stand-in'), inputs.digest('hex').slice(0, 16))
  if (!existsSync(folder)) {
    const made = underWay.get(folder) ?? make(folder)
    underWay.set(folder, made)
    await made.finally(() => underWay.delete(folder))
  }
  // One of its classes takes the place of a library's.
  return [join(folder, 'classes'), join(folder, 'lib', '*')].join(delimiter)
}

/** Makes all of it beside and renames, so that a second process sees all of it or nothing. */
async function make(folder: string): Promise<void> {
  const partial = mkdtempSync(`${folder}-`)
  const [program, lib, classes] = ['program', 'program/lib', 'program/classes'].map((name) => join(partial, name))
  try {
    // Maven's own repository is not made for two processes that fill it at once.
    const repository = `-Dmaven.repo.local=${join(partial, 'repository')}`
    const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${lib}`]
    await run('mvn', ['-q', '-B', repository, '-f', POM, ...goal])
    await run(javaProgram('javac'), ['-cp', `${lib}/*`, '-d', `${classes}`, ...SOURCES])
    renameSync(`${program}`, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

async function run(program: string, args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(program, args, { maxBuffer: OUTPUT_BYTES })
  } catch (cause) {
    const { code, stdout = '', stderr = '' } = cause as { code?: unknown; stdout?: string; stderr?: string }
    if (code === 'ENOENT') throw new Error(`there is no ${program}`, { cause })
    throw new Error(`${program} failed: ${`${stdout}${stderr}`.trim().split('\n').slice(0, 10).join('\n')}`, { cause })
  }
}
