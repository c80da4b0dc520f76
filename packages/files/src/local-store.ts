import type { BigIntStats } from 'node:fs'
import { closeSync, openSync, readSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { access, constants, glob, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fileError, readJsonFile, writeDurably } from '@nebula/base'
import type { OpenFile, StagedFile, Store, StoredFile } from './store.ts'

/** Files of this computer. A file's etag is its size, time of change and inode. */
export class LocalStore implements Store {
  readonly folds = process.platform === 'darwin' || process.platform === 'win32'

  async list(pattern: string, extensions: readonly string[]): Promise<StoredFile[] | undefined> {
    const path = resolve(pattern)
    return attempt(path, async () => {
      const found = await statOf(path)
      if (found?.isFile()) return [stored(path, found)]
      if (found?.isDirectory()) return filesOf(path, (await readdir(path)).filter(hasExtension(extensions)))
      const matching: string[] = []
      for await (const match of glob(path)) matching.push(match)
      return matching.length === 0 ? undefined : filesOf('/', matching.filter(isVisible))
    })
  }

  async stat(path: string): Promise<StoredFile | undefined> {
    const found = await attempt(path, () => statOf(path))
    return found?.isFile() ? stored(path, found) : undefined
  }

  async open(path: string): Promise<OpenFile> {
    return new LocalFile(path, await attempt(path, () => open(path, 'r')))
  }

  readSync(path: string, buffer: Uint8Array, position: number): number {
    const file = openSync(path, 'r')
    try {
      return readSync(file, buffer, 0, buffer.length, position)
    } finally {
      closeSync(file)
    }
  }

  join(folder: string, ...names: string[]): string {
    return join(folder, ...names)
  }

  async writable(folder: string): Promise<boolean> {
    const path = resolve(folder)
    const found = await statOf(path).catch(ifCode(['ENOTDIR'], undefined))
    if (!found && dirname(path) !== path) return this.writable(dirname(path))
    return (
      found?.isDirectory() === true &&
      access(path, constants.W_OK).then(
        () => true,
        () => false,
      )
    )
  }

  async makeFolder(path: string): Promise<void> {
    await attempt(path, () => mkdir(path, { recursive: true }))
  }

  async names(folder: string): Promise<string[]> {
    return attempt(folder, () => readdir(folder).catch(ifCode(['ENOENT'], [])))
  }

  async stage(path: string): Promise<StagedFile> {
    return new LocalFile(path, await attempt(path, () => open(path, constants.O_RDWR | constants.O_CREAT)))
  }

  async publish(moves: readonly { readonly from: string; readonly to: string }[]): Promise<void> {
    for (const { from, to } of moves) await attempt(to, () => rename(from, to))
    for (const folder of new Set(moves.map(({ to }) => dirname(to)))) {
      await attempt(folder, async () => {
        await using handle = await open(folder, 'r')
        await handle.sync()
      })
    }
  }

  async remove(path: string): Promise<void> {
    await attempt(path, () => rm(path, { force: true }))
  }

  async removeFolder(path: string): Promise<void> {
    await attempt(path, () => rmdir(path).catch(ifCode(['ENOENT', 'ENOTEMPTY'], undefined)))
  }

  readJson(path: string): Promise<unknown> {
    return readJsonFile(path)
  }

  writeJson(path: string, value: unknown): Promise<void> {
    return writeDurably(path, JSON.stringify(value))
  }
}

class LocalFile implements OpenFile, StagedFile {
  readonly #path: string
  readonly #handle: FileHandle

  constructor(path: string, handle: FileHandle) {
    this.#path = path
    this.#handle = handle
  }

  stat(): Promise<StoredFile> {
    return attempt(this.#path, async () => stored(this.#path, await this.#handle.stat({ bigint: true })))
  }

  read(buffer: Uint8Array, position: number): Promise<number> {
    return attempt(this.#path, async () => {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, position)
      return bytesRead
    })
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return attempt(this.#path, async () => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done)
        done += bytesWritten
      }
    })
  }

  truncate(length: number): Promise<void> {
    return attempt(this.#path, () => this.#handle.truncate(length))
  }

  sync(): Promise<void> {
    return attempt(this.#path, () => this.#handle.datasync())
  }

  close(): Promise<void> {
    return attempt(this.#path, () => this.#handle.close())
  }
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw fileError(error, path)
  }
}

/** Takes errors with one of the codes for `value`. */
function ifCode<T>(codes: readonly string[], value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (codes.includes(error.code ?? '')) return value
    throw error
  }
}

function statOf(path: string): Promise<BigIntStats | undefined> {
  return stat(path, { bigint: true }).catch(ifCode(['ENOENT'], undefined))
}

function stored(path: string, { size, mtimeNs, ino }: BigIntStats): StoredFile {
  return { path, size: Number(size), etag: `${size}-${mtimeNs}-${ino}` }
}

/** The regular files among `names` of a folder, by name. */
async function filesOf(folder: string, names: readonly string[]): Promise<StoredFile[]> {
  const files: StoredFile[] = []
  for (const name of names.toSorted()) {
    const path = resolve(folder, name)
    const found = await statOf(path)
    if (found?.isFile()) files.push(stored(path, found))
  }
  return files
}

function hasExtension(extensions: readonly string[]): (name: string) => boolean {
  return (name) => isVisible(name) && extensions.some((extension) => name.toLowerCase().endsWith(extension))
}

function isVisible(path: string): boolean {
  return !basename(path).startsWith('.')
}
