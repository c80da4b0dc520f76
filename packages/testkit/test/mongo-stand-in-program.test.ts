import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { standInClassPath } from '../src/mongo-stand-in-program.ts'

let folder = ''
let cache = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nebula-stand-in-test-'))
  cache = join(folder, 'cache')
  mkdirSync(cache)
  vi.stubEnv('JAVA_HOME', '')
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH']}`)
  script('javac', 'mkdir -p "$4" && touch "$4/StandIn.class"')
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

/** In place of a tool: what it would do, without its downloads. Every call is noted. */
function script(name: string, text: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\necho ${name} >> '${folder}/calls'\n${text}\n`)
  chmodSync(join(folder, name), 0o755)
}

const DOWNLOAD = 'for a; do :; done; lib="${a#-DoutputDirectory=}"; mkdir -p "$lib" && touch "$lib/a.jar"'
const entries = (): string[] => readdirSync(join(cache, readdirSync(cache)[0] ?? ''))

test('what is asked for twice at once is made once, and never again', async () => {
  script('mvn', DOWNLOAD)
  const [first, second] = await Promise.all([standInClassPath(cache), standInClassPath(cache)])
  expect(second).toBe(first)
  expect(await standInClassPath(cache)).toBe(first)
  expect(readFileSync(join(folder, 'calls'), 'utf8')).toBe('mvn\njavac\n')
  const [classes = '', jars = ''] = first.split(delimiter)
  expect(existsSync(join(jars, '../a.jar'))).toBe(true)
  expect(existsSync(join(classes, 'StandIn.class'))).toBe(true)
  expect(entries()).toHaveLength(1)
})

test('where another process was faster, what it made is used', async () => {
  script('mvn', `${DOWNLOAD}; final="\${lib%-*}"; mkdir -p "$final/lib" && touch "$final/lib/theirs.jar"`)
  const [, jars = ''] = (await standInClassPath(cache)).split(delimiter)
  expect(existsSync(join(jars, '../theirs.jar'))).toBe(true)
  expect(entries()).toHaveLength(1)
})

test('a failure says what Maven says, and leaves nothing', async () => {
  script('mvn', 'echo "[ERROR] no such artifact"; exit 1')
  await expect(standInClassPath(cache)).rejects.toThrow('mvn failed: [ERROR] no such artifact')
  expect(entries()).toEqual([])
  script('mvn', DOWNLOAD)
  await standInClassPath(cache)
})
