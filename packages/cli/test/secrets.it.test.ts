import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createDatabase, query } from '@nebula/testkit'
import { beforeEach, describe, expect, inject, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const at = (...names: string[]): string => join(folder(), ...names)

const MARK = 'marked-S3cret-marked'

/** What a line of output may hold of the mark: nothing, also not in parts or encoded. */
const FORMS = [MARK, encodeURIComponent(MARK), Buffer.from(MARK).toString('base64'), 'S3cret']

let url: URL

beforeEach(async () => {
  url = new URL(await createDatabase({ url: inject('postgres')['18'] }))
  await query(url.href, 'CREATE TABLE users (id integer); INSERT INTO users VALUES (1)')
  await mkdir(at('in'))
  await writeFile(at('in', 'users.csv'), 'id\n1\n')
})

/** A login that the server takes, with the mark as its password. */
async function login(): Promise<string> {
  const role = `s${url.pathname.slice(-10)}`
  await query(url.href, `CREATE ROLE ${role} SUPERUSER LOGIN PASSWORD '${MARK}'`)
  const marked = new URL(url)
  marked.username = role
  marked.password = MARK
  return marked.href
}

async function contents(path: string): Promise<string> {
  const entries = await readdir(path, { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('\n')
}

const VERBS: readonly (readonly string[])[] = [
  ['plan', 'FILE'],
  ['check', 'FILE'],
  ['check', 'SOURCE'],
  ['discover', 'FILE'],
  ['discover', 'SOURCE'],
  ['preview', 'FILE'],
  ['run', 'FILE'],
  ['discover', 'FILE', '--diff'],
  ['plan', 'FILE'],
  ['plan', '--from', '${MARKED_URL}', '--to', 'csv:./out'],
  ['run', '--from', '${MARKED_URL}', '--to', 'csv:./never', '--streams', 'nothing'],
  ['schema'],
  ['schema', 'postgres'],
  ['explain'],
  ['connectors'],
]

async function write(source: string): Promise<void> {
  await writeFile(at('shop.yaml'), `source: ${source}\ndestination: { connector: csv, path: ./out }\n`)
  await writeFile(at('source.yaml'), `{ type: source, ${source.slice(1)}\n`)
}

/** Everything that the verbs print and leave behind, in all their forms. */
async function everything(): Promise<string> {
  const texts: string[] = []
  for (const verb of VERBS) {
    const args = verb.map((arg) => (arg === 'FILE' ? at('shop.yaml') : arg === 'SOURCE' ? at('source.yaml') : arg))
    for (const form of [[], ['--json'], ['--debug'], ['--json', '--debug']]) {
      if (form.includes('--debug') && ['explain', 'connectors'].includes(verb[0] ?? '')) continue
      const state = args.includes('--to') ? ['--state', at('state')] : []
      const { stdout, stderr } = await nebula(...args, ...state, ...form)
      texts.push(stdout, stderr)
    }
  }
  return [...texts, await contents(folder())].join('\n')
}

describe('a secret that a variable holds stands in no output and no file', () => {
  test.each([
    ['a URL, and everything goes well', '{ connector: postgres, url: "${MARKED_URL}" }', true],
    [
      'a password that is refused',
      '{ connector: postgres, url: "${PLAIN_URL}", username: nobody, password: "${MARKED}" }',
      false,
    ],
    ['a URL that cannot be read', '{ connector: postgres, url: "postgres:/${MARKED}" }', false],
    ['a URL of another scheme', '{ connector: postgres, url: "ftp://${MARKED}@host" }', false],
    [
      'a URL whose server does not answer',
      '{ connector: postgres, url: "postgres://me:${MARKED}@127.0.0.1:1/x", reliability: { max_retries: 0 } }',
      false,
    ],
    ['a URL with an unknown word', '{ connector: postgres, url: "${PLAIN_URL}?pass=${MARKED}" }', false],
    [
      'a key of the certificate that is no file',
      '{ connector: postgres, url: "${PLAIN_URL}", security: { tls: { mode: require, key: "${MARKED}", cert: x } } }',
      false,
    ],
    [
      'a file with mistakes beside it',
      '{ connector: postgres, url: "${MARKED_URL}", password: "${MARKED}", port: x, nonsense: 1 }',
      false,
    ],
  ])('%s', async (_, source, works) => {
    Object.assign(process.env, { MARKED: MARK, MARKED_URL: await login(), PLAIN_URL: url.href })
    await write(source)
    const text = await everything()
    expect(text).toContain(works ? '"rows":1' : '"error"')
    for (const form of FORMS) expect(text.split('\n').filter((line) => line.includes(form))).toEqual([])
  })
})
