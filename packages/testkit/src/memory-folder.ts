import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const MEMORY = '/dev/shm'
/** With less, a few servers of tests would fill it. */
const LEAST_BYTES = 2e9

/**
 * Where tests keep what need not outlive them: a file system in memory, on which nobody waits for a disk to sync, where
 * there is one with 2 GB free; else, or where `TMPDIR` is set, the temporary folder.
 */
export function memoryFolder(): string {
  if (process.env['TMPDIR']) return tmpdir()
  try {
    accessSync(MEMORY, constants.W_OK)
    const { bavail, bsize } = statfsSync(MEMORY)
    return bavail * bsize < LEAST_BYTES ? tmpdir() : MEMORY
  } catch {
    return tmpdir()
  }
}
