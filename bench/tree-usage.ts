import { readdirSync, readFileSync } from 'node:fs'

/** Of /proc/PID/stat, behind the name: the parent, and the clock ticks of itself and of its children that ended. */
const PARENT = 1
const TICKS = [11, 12, 13, 14]
const TICKS_PER_SECOND = 100

/**
 * CPU seconds of all processes that this one started, and of theirs, servers among them, whether they ended or not; its
 * own are not counted. 0 where there is no /proc.
 */
export function treeCpuSeconds(): number {
  const stats = new Map<number, string[]>()
  for (const name of list('/proc').filter((one) => /^\d+$/.test(one))) {
    const stat = text(`/proc/${name}/stat`)
    stats.set(Number(name), stat.slice(stat.lastIndexOf(')') + 2).split(' '))
  }
  const ticks = (fields: readonly string[], places: readonly number[]): number =>
    places.reduce((sum, place) => sum + Number(fields[place] ?? 0), 0)
  let sum = ticks(stats.get(process.pid) ?? [], TICKS.slice(2))
  const parents = [process.pid]
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop())
    for (const [pid, fields] of stats) {
      if (Number(fields[PARENT]) !== parent) continue
      sum += ticks(fields, TICKS)
      parents.push(pid)
    }
  return sum / TICKS_PER_SECOND
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Empty for a process that is gone. */
function text(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
