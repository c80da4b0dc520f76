import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Whom a server runs as: nothing to say for a normal user, another account for root, whom PostgreSQL refuses. */
export interface Account {
  readonly uid?: number
  readonly gid?: number
}

/** Finds the account for a server: this user's own, or for root that of `postgres`, else of `nobody`. */
export function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {}
  for (const name of ['postgres', 'nobody']) {
    const id = (flag: string): number =>
      Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
    try {
      return { uid: id('-u'), gid: id('-g') }
    } catch {
      // No such account; try the next.
    }
  }
  throw new Error(
    'PostgreSQL does not run as root, and there is neither a user postgres nor nobody. Create one of them.',
  )
}

/** Makes a temporary folder that belongs to the account and that it can enter, below the first of `parents` that serves. */
export function temporaryFolder(account: Account, parents = [tmpdir(), '/tmp', '/var/tmp']): string {
  for (const parent of new Set(parents)) {
    const folder = mkdtempSync(join(parent, 'nebula-postgres-'))
    if (account.uid === undefined || account.gid === undefined) return folder
    chownSync(folder, account.uid, account.gid)
    if (spawnSync('test', ['-w', folder], { ...account, cwd: '/' }).status === 0) return folder
    rmSync(folder, { recursive: true })
  }
  throw new Error(`No temporary folder can be entered by user ${account.uid}. Set TMPDIR to one that can.`)
}
