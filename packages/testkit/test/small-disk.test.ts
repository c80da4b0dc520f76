import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { smallDisk } from '../src/small-disk.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nebula-disk-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('a small disk is full when it says, holds more when it grows, and is gone afterwards', ({ skip }) => {
  const disk = smallDisk(folder, 100_000)
  if (!disk) return skip('this user may not mount a small disk')
  const file = join(folder, 'file')
  expect(() => writeFileSync(file, Buffer.alloc(200_000))).toThrow('ENOSPC')
  disk.resize(400_000)
  writeFileSync(file, Buffer.alloc(200_000))
  expect(statSync(folder).uid).toBe(process.getuid?.())
  disk[Symbol.dispose]()
  expect(() => statSync(file)).toThrow('ENOENT')
})
