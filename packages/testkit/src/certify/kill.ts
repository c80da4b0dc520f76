import { NebulaError } from '@nebula/core'
import { Tap } from './tap.ts'

/**
 * Kills a runner at a commit, as far as one can be killed that shares its process: from then on nothing that it asks of
 * its drivers reaches them, so that nothing is undone or cleared away; only closing does, as sockets and files close
 * with a process.
 */
export function killedAt(when: 'before' | 'behind', commits: number): Tap {
  let dead = false
  const die = (): never => {
    dead = true
    throw new NebulaError('internal', { message: 'The process was killed.' })
  }
  const isLast = ({ method, index }: { method: string; index: number }): boolean =>
    method === 'commit' && index === commits - 1
  return new Tap({
    before: (call) => {
      if (call.method === 'close') return
      if (dead || (when === 'before' && isLast(call))) die()
    },
    after: (call) => {
      if (when === 'behind' && isLast(call)) die()
    },
  })
}
