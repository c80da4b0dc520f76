import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { interpolate } from '../src/index.ts'

let folderPath = ''
beforeEach(async () => {
  folderPath = await mkdtemp(join(tmpdir(), 'nebula-config-'))
})
afterEach(async () => {
  await rm(folderPath, { recursive: true, force: true })
})
const folder = (): string => folderPath
const environment = { HOST: 'db.example.org', EMPTY: '', ODD: '$& ${HOST} $1' }
const fill = (text: string): string => interpolate(text, environment, 'shop.yaml:3:5')

describe('interpolate', () => {
  test.each([
    ['plain', 'plain'],
    ['${HOST}', 'db.example.org'],
    ['postgres://${HOST}:5432/${HOST}', 'postgres://db.example.org:5432/db.example.org'],
    ['${HOST:-localhost}', 'db.example.org'],
    ['${PORT:-5432}', '5432'],
    ['${PORT:-}', ''],
    ['${PORT:-a:-b}', 'a:-b'],
    ['${EMPTY}', ''],
    ['${EMPTY:-full}', 'full'],
    ['$${HOST}', '${HOST}'],
    ['$HOST $ {HOST} $', '$HOST $ {HOST} $'],
    ['${HOST', '${HOST'],
  ])('%s is %s', (text, expected) => {
    expect(fill(text)).toBe(expected)
  })

  test('a value is taken as it is, whatever it looks like', () => {
    expect(fill('<${ODD}>')).toBe('<$& ${HOST} $1>')
  })

  test('a missing variable is named, with the place', () => {
    expect(() => fill('${PASSWORD}')).toThrow(
      expect.objectContaining({
        code: 'variable_missing',
        message: '${PASSWORD} is not set.',
        place: 'shop.yaml:3:5',
      }),
    )
  })

  test.each([
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['secret\r\n', 'secret'],
    ['two\nlines\n\n', 'two\nlines\n'],
  ])('a file holding %j gives %j', async (content, expected) => {
    const path = join(folder(), 'password')
    await writeFile(path, content)
    expect(fill(`<\${file:${path}}>`)).toBe(`<${expected}>`)
  })

  test('a file that cannot be read is named', () => {
    const path = join(folder(), 'none')
    expect(() => fill(`\${file:${path}}`)).toThrow(
      expect.objectContaining({
        code: 'file_not_found',
        message: `\${file:${path}} cannot be read.`,
        place: 'shop.yaml:3:5',
      }),
    )
  })
})
