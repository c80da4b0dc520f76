import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { link, readFile, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { NebulaError } from '@nebula/core'
import { fileError } from './file-error.ts'

interface Holder {
  readonly pid: number
  /** When the process began, as the system tells it: a number that is used again is another process. */
  readonly began: string
}

/**
 * Takes the lock of a pipeline, which dies with its process: a lock of a dead process is taken over at once. Returns
 * the release. Throws `run_locked` while its holder lives.
 */
export async function takeLock(path: string): Promise<() => Promise<void>> {
  const mine = `${path}.${process.pid}.${randomUUID().slice(0, 8)}`
  try {
    // Each of these is quicker than handing it to a thread; nothing else is under way.
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(mine, JSON.stringify({ pid: process.pid, began: began(process.pid) ?? '' }))
    await place(mine, path)
  } catch (error) {
    throw fileError(error, path)
  } finally {
    quietly(() => rmSync(mine, { force: true }))
  }
  quietly(() => sweep(path))
  return async () => rmSync(path, { force: true })
}

/** Removes what processes that were killed while they took the lock left beside it. */
function sweep(path: string): void {
  for (const name of readdirSync(dirname(path))) {
    const [, pid] = (name.startsWith(basename(path)) && /\.(\d+)\.[0-9a-f]{8}$/.exec(name)) || []
    if (pid !== undefined && began(Number(pid)) === undefined) rmSync(join(dirname(path), name), { force: true })
  }
}

function quietly(remove: () => void): void {
  try {
    remove()
  } catch {
    // What cannot be removed is in nobody's way.
  }
}

/** The process that holds a lock; undefined when none that lives does. */
export async function lockHolder(path: string): Promise<number | undefined> {
  const holder = holderOf(await readFile(path, 'utf8').catch(() => ''))
  return holder?.began && began(holder.pid) === holder.began ? holder.pid : undefined
}

async function place(mine: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await link(mine, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    if ((await refuseLiving(path)) === 'dead' && (await takeOver(mine, path))) return
  }
  throw new NebulaError('run_locked', { message: 'Another run of this pipeline has just begun.', place: path })
}

/** Replaces the lock of a dead process. Who does so holds a lock on doing it, for two may have seen it dead. */
async function takeOver(mine: string, path: string): Promise<boolean> {
  const release = await takeLock(`${path}.takeover`)
  try {
    if ((await refuseLiving(path)) === 'free') return false
    await rename(mine, path)
    return true
  } finally {
    await release()
  }
}

/** Throws `run_locked` when the holder lives. */
async function refuseLiving(path: string): Promise<'dead' | 'free'> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'free'
    throw error
  }
  const holder = holderOf(text)
  if (!holder?.began || began(holder.pid) !== holder.began) return 'dead'
  throw new NebulaError('run_locked', {
    message: `Another run of this pipeline is under way (process ${holder.pid}).`,
    place: path,
  })
}

function holderOf(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder
  } catch {
    return undefined
  }
}

/** When a living process began; undefined when there is none of that number. */
function began(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') {
      // proc(5): field 22 of stat, counted behind the name, which may hold blanks and brackets.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      // A zombie is dead, though nobody has asked how it died.
      return fields[0] === 'Z' ? undefined : fields[19]
    }
    const args = ['-o', 'lstart=', '-p', String(pid)]
    return execFileSync('ps', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim() || undefined
  } catch {
    return undefined
  }
}
