import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fileError, readJsonFile, writeDurably } from '../src/index.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nebula-durable-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

describe('writeDurably', () => {
  test('writes a new file, and leaves nothing else', async () => {
    await writeDurably(join(folder, 'a.json'), '{"a":1}')
    expect(await readFile(join(folder, 'a.json'), 'utf8')).toBe('{"a":1}')
    expect(await readdir(folder)).toEqual(['a.json'])
  })

  test('replaces a file by another one: who has the old one open keeps it', async () => {
    const path = join(folder, 'a.json')
    await writeDurably(path, 'old')
    const before = await stat(path)
    await writeDurably(path, 'new')
    expect(await readFile(path, 'utf8')).toBe('new')
    expect((await stat(path)).ino).not.toBe(before.ino)
  })

  test('what a crash left half-written is neither read nor in the way', async () => {
    const path = join(folder, 'a.json')
    await writeDurably(path, '"whole"')
    await writeFile(`${path}.tmp`, '"hal and much longer than what comes')
    expect(await readJsonFile(path)).toBe('whole')
    await writeDurably(path, '"next"')
    expect(await readJsonFile(path)).toBe('next')
    expect(await readdir(folder)).toEqual(['a.json'])
  })

  test('the old file stays when the new one cannot be written', async () => {
    const path = join(folder, 'a.json')
    await writeDurably(path, '"old"')
    await mkdir(`${path}.tmp`)
    await expect(writeDurably(path, '"new"')).rejects.toMatchObject({ code: 'file_failed', place: path })
    expect(await readJsonFile(path)).toBe('old')
  })

  test('gives the file the mode it is asked for', async () => {
    await writeDurably(join(folder, 'private'), 'x', 0o600)
    expect((await stat(join(folder, 'private'))).mode & 0o777).toBe(0o600)
  })

  test('says that the folder is missing', async () => {
    const path = join(folder, 'missing', 'a.json')
    await expect(writeDurably(path, 'x')).rejects.toMatchObject({ code: 'file_not_found', place: path })
  })
})

describe('readJsonFile', () => {
  test('is undefined where there is no file', async () => {
    expect(await readJsonFile(join(folder, 'none.json'))).toBeUndefined()
  })

  test('names a damaged file', async () => {
    const path = join(folder, 'a.json')
    await writeFile(path, '{"a":')
    await expect(readJsonFile(path)).rejects.toMatchObject({ code: 'data_invalid', place: path })
  })

  test('says that a file cannot be read', async () => {
    await expect(readJsonFile(folder)).rejects.toMatchObject({ code: 'file_failed', place: folder })
  })
})

describe('fileError', () => {
  const system = (code: string): Error => Object.assign(new Error(`${code}: as the system says`), { code, errno: -1 })

  test.each([
    ['ENOENT', 'file_not_found'],
    ['ENOSPC', 'disk_full'],
    ['EDQUOT', 'disk_full'],
    ['EACCES', 'file_failed'],
    ['EIO', 'file_failed'],
  ])('%s is %s', (code, ours) => {
    const cause = system(code)
    expect(fileError(cause, '/out/a.csv')).toMatchObject({ code: ours, place: '/out/a.csv', cause })
    expect(fileError(cause, '/out/a.csv').message).toContain('/out/a.csv')
  })

  test('what does not come from the system is no error of a file', () => {
    expect(fileError(new TypeError('x is undefined'), '/out/a.csv').code).toBe('internal')
    expect(fileError('thrown text', '/out/a.csv').code).toBe('internal')
  })
})
