// Moves real tables: public CSV files and a generated one to PostgreSQL, on to a second database, and back to CSV;
// then compares the two ends value by value with an independent CSV reader. Starts its own PostgreSQL, without Docker.
import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PostgresServer } from '@nebula/testkit'
import { createDatabase, postgres } from '@nebula/testkit'
import { parse } from 'csv-parse'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '..', '..')
const folder = join(here, 'output')
const input = join(folder, 'in')
const output = join(folder, 'out')
const GENERATED_ROWS = 500_000

const shown = (path: string): string => relative(root, path)

function title(text: string): void {
  console.log(`\n== ${text}`)
}

/** The public CSV files of the npm package vega-datasets, and `orders.csv`, which is generated. */
async function collectInput(): Promise<void> {
  const data = join(root, 'node_modules', 'vega-datasets', 'data')
  const files = (await readdir(data)).filter((name) => name.endsWith('.csv'))
  for (const name of files) await copyFile(join(data, name), join(input, name))
  await writeFile(join(input, 'orders.csv'), generatedOrders())
  console.log(
    `${files.length} public files of vega-datasets and a generated orders.csv of 500,000 rows in ${shown(input)}`,
  )
}

function* generatedOrders(): Iterable<string> {
  let block = 'id,customer,amount,ordered,shipped,paid,note\n'
  for (let i = 0; i < GENERATED_ROWS; i++) {
    const day = String((i % 28) + 1).padStart(2, '0')
    const note = i % 10 === 0 ? '"said ""yes"", then\nwent on"' : `note ${i}`
    block += `${1_000_000_000 + i},${(i * 7919) % 100_000},${(i * 31) % 9_000}.${(i % 9) + 1},2024-05-${day},`
    block += `2024-06-${day} 1${i % 10}:30:15,${i % 3 === 0},${note}\n`
    if (block.length > 1 << 18) {
      yield block
      block = ''
    }
  }
  yield block
}

/** Runs the nebula command as a user would, and prints what it prints. */
async function nebula(args: readonly string[], env: Readonly<Record<string, string>>): Promise<void> {
  console.log(`$ nebula ${args.map((arg) => (/[$*]/.test(arg) ? `'${arg}'` : arg)).join(' ')}`)
  const bin = join(root, 'packages', 'cli', 'dist', 'bin.js')
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`nebula ended with exit code ${String(code)}`)
}

/** Every record of a CSV file as the independent reader sees it, one text each, in sorted order. */
async function records(path: string): Promise<{ texts: string[]; values: number }> {
  const texts: string[] = []
  let values = 0
  // A null and an empty string differ in CSV only by the quotes, so an empty field keeps its own.
  const cast = (value: string, { quoting }: { quoting: boolean }): string => (value === '' && quoting ? '""' : value)
  for await (const record of createReadStream(path).pipe(parse({ bom: true, relax_column_count: true, cast }))) {
    values += (record as string[]).length
    texts.push(JSON.stringify(record))
  }
  return { texts: texts.sort(), values }
}

interface Comparison {
  readonly values: number
  readonly different: number
}

/** Every record of two files; a table has no order, so both are sorted. */
async function compare(before: string, after: string): Promise<Comparison> {
  const [expected, actual] = await Promise.all([records(before), records(after)])
  const length = Math.max(expected.texts.length, actual.texts.length)
  let different = 0
  for (let i = 0; i < length; i++) if (expected.texts[i] !== actual.texts[i]) different++
  return { values: expected.values, different }
}

async function compareAll(): Promise<number> {
  let values = 0
  let different = 0
  const files = (await readdir(input)).sort()
  for (const name of files) {
    const result = await compare(join(input, name), join(output, name))
    values += result.values
    different += result.different
    if (result.different > 0) console.log(`${name}: ${result.different} records differ`)
  }
  console.log(`${files.length} files, ${values.toLocaleString('en-US')} values compared, ${different} records differ`)
  return different
}

async function main(): Promise<number> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(input, { recursive: true })
  title('Input')
  await collectInput()
  title('A real PostgreSQL 18, from npm')
  const server = await postgres()
  try {
    return await move(server)
  } finally {
    await server.stop()
  }
}

async function move(server: PostgresServer): Promise<number> {
  const env = { FIRST_URL: await createDatabase(server, 'first'), SECOND_URL: await createDatabase(server, 'second') }
  console.log(`listening on 127.0.0.1:${server.port}, databases first and second`)
  title('CSV -> PostgreSQL: types are found without losing a character')
  await nebula(['run', '--from', 'csv:./in', '--to', '${FIRST_URL}', '--quiet'], env)
  title('PostgreSQL -> PostgreSQL: bytes pass through')
  await nebula(['run', '--from', '${FIRST_URL}', '--to', '${SECOND_URL}', '--quiet'], env)
  title('PostgreSQL -> CSV')
  await writeFile(join(folder, 'back.yaml'), backToCsv(await readdir(input)))
  await nebula(['run', 'back.yaml', '--quiet'], env)
  title('Is every value that left the one that came back?')
  const different = await compareAll()
  if (different > 0) return 1
  title('What to try next')
  console.log(`the files are in ${shown(input)} and ${shown(output)}`)
  console.log(`npm run -s nebula -- discover --from csv:${shown(input)}`)
  console.log(`npm run -s nebula -- run --from csv:${shown(input)} --to '\${TARGET_URL}'   # a PostgreSQL of yours`)
  console.log('npm run -s nebula -- run --help')
  return 0
}

/** A pipeline file that names each target like the file it came from. */
function backToCsv(files: readonly string[]): string {
  const streams = files.map(
    (name) => `  "public.${name.replace(/\.csv$/, '')}": { target: "${name.replace(/\.csv$/, '')}" }`,
  )
  return `name: back
source: { connector: postgres, url: "\${SECOND_URL}" }
destination: { connector: csv, path: ./out }
streams:
${streams.join('\n')}
`
}

process.exitCode = await main()
