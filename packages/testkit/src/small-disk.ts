import { execFileSync, spawnSync } from 'node:child_process'

/** A file system of its own, in memory, that is soon full. */
export interface SmallDisk extends Disposable {
  /** Makes room, or less of it, for the files that are there. */
  resize(bytes: number): void
}

const MOUNTING: readonly (readonly string[])[] = [[], ['sudo', '-n']]

/**
 * Mounts a file system of so many bytes over an empty folder; it belongs to `owner`, or to this user. Undefined where
 * this user may not mount: it takes root, or sudo without a password. With `CI=true` that is an error.
 */
export function smallDisk(
  folder: string,
  bytes: number,
  owner: { readonly uid: number; readonly gid: number } = {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
  },
): SmallDisk | undefined {
  const options = `size=${bytes},uid=${owner.uid},gid=${owner.gid},mode=700`
  const prefix = MOUNTING.find((words) => run([...words, 'mount', '-t', 'tmpfs', '-o', options, 'nebula-test', folder]))
  if (!prefix) {
    if (process.env['CI'] === 'true') throw new Error('No small disk: this user may not mount one.')
    return undefined
  }
  return {
    resize(size) {
      const words = [...prefix, 'mount', '-o', `remount,size=${size}`, folder]
      execFileSync('env', words)
    },
    [Symbol.dispose]() {
      run([...prefix, 'umount', '--lazy', folder])
    },
  }
}

function run([command = '', ...args]: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
