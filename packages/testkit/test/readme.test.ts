import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'

const read = (path: string): Promise<string> => readFile(new URL(path, import.meta.url), 'utf8')

test('the example of the README certifies a connector in under 20 lines: it is a test of connector-csv', async () => {
  const [, example = ''] = /```ts\n([^]*?)```/.exec(await read('../README.md')) ?? []
  const run = await read('../../connector-csv/test/certify.test.ts')
  expect(example.split('\n').length).toBeLessThan(20)
  expect(lines(run.replace('../src/index.ts', '@nebula/connector-csv'))).toEqual(lines(example))
})

/** In any order of imports, without comments. */
function lines(code: string): string[] {
  return code
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('//'))
    .toSorted()
}
