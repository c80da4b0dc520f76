import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { takeLock } from '../src/lock.ts'

let folderPath = ''
beforeEach(async () => {
  folderPath = await mkdtemp(join(tmpdir(), 'nebula-lock-'))
})
afterEach(async () => {
  await rm(folderPath, { recursive: true, force: true })
})
const folder = (): string => folderPath
const path = (): string => join(folder(), 'state', 'shop.lock')

async function leave(holder: unknown): Promise<void> {
  await mkdir(join(folder(), 'state'), { recursive: true })
  await writeFile(path(), typeof holder === 'string' ? holder : JSON.stringify(holder))
}

/** As proc(5) has it: the state of a process and when it began. */
function processOf(pid: number): { state: string | undefined; began: string | undefined } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0], began: fields[19] }
}

describe('takeLock', () => {
  test('takes a lock, and leaves nothing when it is given back', async () => {
    const release = await takeLock(path())
    expect(await readdir(join(folder(), 'state'))).toEqual(['shop.lock'])
    expect(JSON.parse(await readFile(path(), 'utf8'))).toMatchObject({ pid: process.pid })
    await release()
    expect(await readdir(join(folder(), 'state'))).toEqual([])
    await (
      await takeLock(path())
    )()
  })

  test('removes what a process left that was killed while it took the lock, and no other file', async () => {
    const child = spawn('true')
    await once(child, 'exit')
    await leave({ pid: child.pid, began: 'before' })
    const living = [`shop.lock.${process.pid}.0123abcd`, `other.lock.${child.pid}.0123abcd`]
    const dead = [`shop.lock.${child.pid}.0123abcd`, `shop.lock.takeover.${child.pid}.4567cdef`]
    for (const name of [...living, ...dead]) await writeFile(join(folder(), 'state', name), '')
    await takeLock(path())
    expect((await readdir(join(folder(), 'state'))).toSorted()).toEqual([...living, 'shop.lock'].toSorted())
  })

  test('is refused while its holder lives, and the holder is named', async () => {
    const release = await takeLock(path())
    await expect(takeLock(path())).rejects.toMatchObject({
      code: 'run_locked',
      message: `Another run of this pipeline is under way (process ${process.pid}).`,
      place: path(),
    })
    expect(await readdir(join(folder(), 'state'))).toEqual(['shop.lock'])
    await release()
  })

  test('of many at once one gets it', async () => {
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(path())))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    const reasons = results.flatMap((result) =>
      result.status === 'rejected' ? [(result.reason as { code: string }).code] : [],
    )
    expect(new Set(reasons)).toEqual(new Set(['run_locked']))
    expect(await readdir(join(folder(), 'state'))).toEqual(['shop.lock'])
  })

  test('of many at once one gets the lock of a dead process', async () => {
    await leave({ pid: 4_194_305, began: '1' })
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => takeLock(path())))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await readdir(join(folder(), 'state'))).toEqual(['shop.lock'])
    expect(JSON.parse(await readFile(path(), 'utf8'))).toMatchObject({ pid: process.pid })
  })

  test('is taken over from a process that was killed', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    await once(child, 'spawn')
    const { pid = 0 } = child
    await leave({ pid, began: processOf(pid).began })
    await expect(takeLock(path())).rejects.toMatchObject({ code: 'run_locked' })
    child.kill('SIGKILL')
    await once(child, 'exit')
    const release = await takeLock(path())
    expect(JSON.parse(await readFile(path(), 'utf8'))).toMatchObject({ pid: process.pid })
    await release()
  })

  test('is taken over when another process has the number of its holder', async () => {
    await leave({ pid: process.pid, began: '1' })
    const release = await takeLock(path())
    expect(JSON.parse(await readFile(path(), 'utf8'))).toEqual({
      pid: process.pid,
      began: processOf(process.pid).began,
    })
    await release()
  })

  test('is taken over though another process died while it took it over', async () => {
    await leave({ pid: 4_194_305, began: '1' })
    await writeFile(`${path()}.takeover`, JSON.stringify({ pid: 4_194_306, began: '2' }))
    await takeLock(path())
    expect(JSON.parse(await readFile(path(), 'utf8'))).toMatchObject({ pid: process.pid })
    expect(await readdir(join(folder(), 'state'))).toEqual(['shop.lock'])
  })

  test('is not taken over while another process does so', async () => {
    await leave({ pid: 4_194_305, began: '1' })
    await writeFile(`${path()}.takeover`, JSON.stringify({ pid: process.pid, began: processOf(process.pid).began }))
    await expect(takeLock(path())).rejects.toMatchObject({ code: 'run_locked' })
    expect(JSON.parse(await readFile(path(), 'utf8'))).toMatchObject({ pid: 4_194_305 })
  })

  test('is taken over from a process that is dead, though nobody has asked how it died', async () => {
    // The shell becomes a program that never waits for its child; only then is the child killed.
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'])
    const [output] = (await once(parent.stdout, 'data')) as [Buffer]
    const pid = Number(output.toString())
    await vi.waitFor(() => expect(readFileSync(`/proc/${parent.pid}/comm`, 'utf8')).toBe('sleep\n'))
    process.kill(pid, 'SIGKILL')
    await vi.waitFor(() => expect(processOf(pid).state).toBe('Z'))
    await leave({ pid, began: processOf(pid).began })
    await expect(takeLock(path())).resolves.toBeTypeOf('function')
    parent.kill('SIGKILL')
    await once(parent, 'exit')
  })

  test.each(['', 'no JSON', '{"pid":1,"began":""}'])('%j names no holder', async (content) => {
    await leave(content)
    await expect(takeLock(path())).resolves.toBeTypeOf('function')
  })

  test('a folder that cannot be made is named', async () => {
    await writeFile(join(folder(), 'state'), 'in the way')
    await expect(takeLock(path())).rejects.toMatchObject({ code: 'file_failed', place: path() })
  })
})
