import { join } from 'node:path'
import type { NebulaError } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { loadPipeline } from '../src/index.ts'
import { useFolder } from './harness.ts'
import { ENDS, loadText } from './pipeline-files.ts'

const folder = useFolder()

/** The error of a file, its places without the folder. */
async function problemOf(
  text: string,
  environment?: Record<string, string>,
): Promise<Pick<NebulaError, 'code' | 'message' | 'place'>> {
  const error = (await loadText(folder(), text, environment).then(
    () => new Error('the file was taken'),
    (thrown: unknown) => thrown,
  )) as NebulaError
  const short = (path: string | undefined): string => (path ?? '').replaceAll(`${folder()}/`, '')
  return { code: error.code, message: short(error.message), place: short(error.place) }
}

describe('a mistake in a pipeline file is told with place and suggestion:', () => {
  test.each<[string, string, { code: string; message: string; place: string }]>([
    [
      'an unknown key',
      `${ENDS}paralel: 3\n`,
      {
        code: 'config_unknown_key',
        message: 'shop.yaml:3:1: unknown key paralel; did you mean parallel?',
        place: 'shop.yaml:3:1',
      },
    ],
    [
      'an unknown key of another kind',
      `${ENDS}transformations: 3\n`,
      {
        code: 'config_unknown_key',
        message:
          'shop.yaml:3:1: unknown key transformations; known are name, source, destination, parallel, on_stream_error, on_success, on_failure, defaults, streams',
        place: 'shop.yaml:3:1',
      },
    ],
    [
      'a key in capitals',
      `${ENDS}Parallel: 3\n`,
      {
        code: 'config_unknown_key',
        message: 'shop.yaml:3:1: unknown key Parallel; did you mean parallel?',
        place: 'shop.yaml:3:1',
      },
    ],
    [
      'an unknown key of a stream',
      `${ENDS}streams:\n  public.userEvents:\n    target: events\n    max_erors: 3\n`,
      {
        code: 'config_unknown_key',
        message: 'shop.yaml:6:5: unknown key streams.public.userEvents.max_erors; did you mean max_errors?',
        place: 'shop.yaml:6:5',
      },
    ],
    [
      'an unknown key of the defaults',
      `${ENDS}defaults: { mod: append }\n`,
      {
        code: 'config_unknown_key',
        message: 'shop.yaml:3:13: unknown key defaults.mod; did you mean mode?',
        place: 'shop.yaml:3:13',
      },
    ],
    [
      "an unknown key of the connector's",
      'source:\n  connector: files\n  tablename: users\ndestination: { connector: files }\n',
      {
        code: 'config_unknown_key',
        message: 'shop.yaml:3:3: unknown key source.tablename; did you mean table_name?',
        place: 'shop.yaml:3:3',
      },
    ],
    [
      "an unknown key in a section of the connector's",
      'source: { connector: files }\ndestination:\n  connector: files\n  performance:\n    batchsize: 3\n',
      {
        code: 'config_unknown_key',
        message: 'shop.yaml:5:5: unknown key destination.performance.batchsize; did you mean batch_size?',
        place: 'shop.yaml:5:5',
      },
    ],
    [
      'a value of the wrong type',
      `${ENDS}parallel: many\n`,
      {
        code: 'config_invalid',
        message: 'shop.yaml:3:1: parallel: expected number, received string',
        place: 'shop.yaml:3:1',
      },
    ],
    [
      'a number out of range',
      `${ENDS}defaults: { max_errors: -1 }\n`,
      {
        code: 'config_invalid',
        message: expect.stringMatching(/^shop\.yaml:3:13: defaults\.max_errors: .*>=0/) as unknown as string,
        place: 'shop.yaml:3:13',
      },
    ],
    [
      'a mode that there is not',
      `${ENDS}streams: { orders: { mode: replace } }\n`,
      {
        code: 'config_invalid',
        message: expect.stringMatching(
          /^shop\.yaml:3:22: streams\.orders\.mode: .*"overwrite"\|"append"/,
        ) as unknown as string,
        place: 'shop.yaml:3:22',
      },
    ],
    [
      'a stream that is neither false nor options',
      `${ENDS}streams: { orders: yes please }\n`,
      {
        code: 'config_invalid',
        message: 'shop.yaml:3:12: streams.orders: expected false or object or null',
        place: 'shop.yaml:3:12',
      },
    ],
    [
      'an unknown type in cast',
      `${ENDS}streams: { orders: { cast: { price: money } } }\n`,
      {
        code: 'config_invalid',
        message: expect.stringMatching(
          /^shop\.yaml:3:30: streams\.orders\.cast\.price: "money" is no type; known are bool, /,
        ) as unknown as string,
        place: 'shop.yaml:3:30',
      },
    ],
    [
      'an unknown type in types',
      `${ENDS}streams: { orders: { types: { unitPrice: "decimal(50,2)" } } }\n`,
      {
        code: 'config_invalid',
        message: expect.stringMatching(
          /^shop\.yaml:3:31: streams\.orders\.types\.unitPrice: "decimal\(50,2\)" is no type/,
        ) as unknown as string,
        place: 'shop.yaml:3:31',
      },
    ],
    [
      'a mask that there is not',
      `${ENDS}streams: { orders: { mask: { email: md5 } } }\n`,
      {
        code: 'config_invalid',
        message: expect.stringMatching(
          /^shop\.yaml:3:30: streams\.orders\.mask\.email: expected sha256 or redact or partial/,
        ) as unknown as string,
        place: 'shop.yaml:3:30',
      },
    ],
    [
      'a duration that is none',
      'source: { connector: files, timeouts: { request: soon } }\ndestination: { connector: files }\n',
      {
        code: 'config_invalid',
        message: 'shop.yaml:1:41: source.timeouts.request: not a duration; write it like 500ms, 30s or 1h30m',
        place: 'shop.yaml:1:41',
      },
    ],
    [
      'a secret that is no text, without the secret',
      'source: { connector: files, password: 123456 }\ndestination: { connector: files }\n',
      {
        code: 'config_invalid',
        message: expect.stringMatching(
          /^shop\.yaml:1:29: source\.password: expected string(?!.*123456)/,
        ) as unknown as string,
        place: 'shop.yaml:1:29',
      },
    ],
    [
      'a missing end',
      'source: { connector: files }\n',
      {
        code: 'config_invalid',
        message: 'shop.yaml:1:1: destination: missing: expected object',
        place: 'shop.yaml:1:1',
      },
    ],
    [
      'an end without its connector',
      'source: { path: ./in }\ndestination: { connector: files }\n',
      {
        code: 'config_invalid',
        message: 'shop.yaml:1:1: source.connector: missing: expected string',
        place: 'shop.yaml:1:1',
      },
    ],
    [
      'a file that is no map',
      '- source\n- destination\n',
      { code: 'config_invalid', message: 'A pipeline file is a map of keys.', place: 'shop.yaml:1:1' },
    ],
    [
      'an empty file',
      '',
      { code: 'config_invalid', message: 'A pipeline file is a map of keys.', place: 'shop.yaml:1:1' },
    ],
    [
      'a variable that is not set',
      `${ENDS}name: \${NIGHTLY_NAME}\n`,
      { code: 'variable_missing', message: '${NIGHTLY_NAME} is not set.', place: 'shop.yaml:3:1' },
    ],
    [
      'a variable that is not set, in a list',
      `${ENDS}streams: { orders: { columns: [id, "\${COLUMN}"] } }\n`,
      { code: 'variable_missing', message: '${COLUMN} is not set.', place: 'shop.yaml:3:22' },
    ],
    [
      'a variable that is no number',
      `${ENDS}parallel: \${PARALLEL}\n`,
      {
        code: 'config_invalid',
        message: 'shop.yaml:3:1: parallel: expected number, received string',
        place: 'shop.yaml:3:1',
      },
    ],
  ])('%s', async (_, text, expected) => {
    expect(await problemOf(text, { PARALLEL: '2 or 3' })).toEqual(expected)
  })

  test.each([
    ['a key twice', `${ENDS}name: a\nname: b\n`, 'Map keys must be unique', 'shop.yaml:4:1'],
    ['a bracket too few', `${ENDS}streams: { orders: {\n`, 'Not YAML', 'shop.yaml:'],
  ])('%s', async (_, text, message, place) => {
    const problem = await problemOf(text)
    expect(problem.code).toBe('config_invalid')
    expect(problem.message).toContain(message)
    expect(problem.place).toContain(place)
  })

  test('a missing file', async () => {
    const path = join(folder(), 'none.yaml')
    await expect(loadPipeline(path)).rejects.toMatchObject({ code: 'file_not_found', place: path })
  })

  test('a connector that is not installed, with its place', async () => {
    expect(await problemOf('source: { connector: oracle }\ndestination: { connector: files }\n')).toEqual({
      code: 'connector_not_found',
      message: 'No connector "oracle": looked for the package @nebula/connector-oracle, then nebula-connector-oracle.',
      place: 'shop.yaml:1:11',
    })
  })

  test('two connectors that are not installed are told at once', async () => {
    const { code, message } = await problemOf('source: { connector: oracle }\ndestination: { connector: db2 }\n')
    expect(code).toBe('connector_not_found')
    expect(message).toContain('shop.yaml:1:11: No connector "oracle"')
    expect(message).toContain('shop.yaml:2:16: No connector "db2"')
    expect(message).toContain('npm install @nebula/connector-db2')
  })

  test('every mistake of the file, at both ends and between, is told at once and in order', async () => {
    const { code, message, place } = await problemOf(`
paralell: 3
source: { connector: files, tablename: users, timeouts: { request: soon } }
destination: { connector: oracle }
streams:
  orders: { mod: append, limit: 0 }
  lines: { cast: { a: money, b: int64, c: cash } }
`)
    expect(code).toBe('config_invalid')
    expect(place).toBe('shop.yaml:2:1')
    expect(message.split('\n').map((line) => line.replace(/;.*/, ''))).toEqual([
      'shop.yaml:2:1: unknown key paralell',
      'shop.yaml:3:29: unknown key source.tablename',
      'shop.yaml:3:59: source.timeouts.request: not a duration',
      expect.stringContaining('shop.yaml:4:16: No connector "oracle"') as unknown,
      'shop.yaml:6:13: unknown key streams.orders.mod',
      expect.stringContaining('shop.yaml:6:26: streams.orders.limit') as unknown,
      'shop.yaml:7:20: streams.lines.cast.a: "money" is no type',
      'shop.yaml:7:40: streams.lines.cast.c: "cash" is no type',
    ])
  })
})
