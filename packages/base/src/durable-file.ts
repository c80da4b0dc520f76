import { open, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { NebulaError } from '@nebula/core'
import { fileError } from './file-error.ts'

/**
 * Replaces a file so that a crash leaves the old content or the new, whole: write beside, fsync, rename, fsync folder.
 * Throws `disk_full`, `file_not_found`, `file_failed`.
 */
export async function writeDurably(path: string, text: string, mode = 0o644): Promise<void> {
  const temporary = `${path}.tmp`
  try {
    const file = await open(temporary, 'w', mode)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    throw fileError(error, path)
  }
}

/** Replaces a file so that a reader sees the old content or the new, whole; what a crash leaves is not said. */
export async function replaceFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(`${path}.tmp`, text)
    await rename(`${path}.tmp`, path)
  } catch (error) {
    throw fileError(error, path)
  }
}

/** Makes renames and new files of a folder durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** The parsed content of a JSON file; undefined when there is none. Throws `data_invalid` when it is damaged. */
export async function readJsonFile(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fileError(error, path)
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new NebulaError('data_invalid', { message: `${path} is not JSON.`, place: path, cause })
  }
}
