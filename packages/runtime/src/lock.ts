import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileError } from '@nebula/base'
import { isNebulaError, NebulaError } from '@nebula/core'

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
    await mkdir(dirname(path), { recursive: true })
    await writeFile(mine, JSON.stringify({ pid: process.pid, began: began(process.pid) ?? '' }))
  } catch (error) {
    throw fileError(error, mine)
  }
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        await link(mine, path)
        return () => rm(path, { force: true })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(error, path)
      }
      await removeStale(path)
    }
  } finally {
    await rm(mine, { force: true })
  }
  throw new NebulaError('run_locked', { message: 'Another run of this pipeline has just begun.', place: path })
}

/** Removes the lock of a dead process; throws `run_locked` when it lives. */
async function removeStale(path: string): Promise<void> {
  await refuseLiving(path)
  // Another process may have taken the lock since: what is moved away is looked at once more.
  const moved = `${path}.stale.${randomUUID().slice(0, 8)}`
  try {
    await rename(path, moved)
    await refuseLiving(moved)
    await rm(moved, { force: true })
  } catch (error) {
    if (isNebulaError(error, 'run_locked')) await rename(moved, path)
    else if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    if (isNebulaError(error)) throw error
  }
}

async function refuseLiving(path: string): Promise<void> {
  const holder = await readHolder(path)
  if (!holder || holder.began === '' || began(holder.pid) !== holder.began) return
  throw new NebulaError('run_locked', {
    message: `Another run of this pipeline is under way (process ${holder.pid}).`,
    place: path,
  })
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder
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
