// Measures every route against its raw limit, pair by pair, whole processes, output checked.
//   npm run bench                     2,000,000 rows, three pairs each
//   npm run bench -- --rows 500000 --pairs 5 --only pg-pg,csv-pg
//   npm run bench -- --only mongo-csv,mongo-mongo --rows 20 --document-bytes 16000000
//   npm run bench -- --record         also writes baseline.json and the table of docs/performance.md
//   npm run bench -- --overhead      CPU of base and runtime: drivers alone against a run
//   npm run bench -- --storage        the storage modes, in memory
//   npm run bench -- --verify        nebula verify against the run that it checks
//   npm run bench -- --smoke          short; fails when a route is more than 40 % below the baseline
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createDatabase, postgres } from '@nebula/testkit'
import { heapBytesPerRow } from './heap.ts'
import type { Command } from './measure.ts'
import { measure } from './measure.ts'
import { MONGO_ROUTES, prepareMongo, startMongo } from './mongo-routes.ts'
import type { Overhead } from './overhead.ts'
import { measureOverhead, OVERHEAD_HEAD, overheadLine, overheadTotal } from './overhead.ts'
import type { Result } from './record.ts'
import { belowBaseline, record, resultLine, TABLE_HEAD } from './record.ts'
import type { Ground, Route } from './routes.ts'
import { createLimitTable, ROUTES, withClient } from './routes.ts'
import { benchStorage } from './storage.ts'
import { createLineitem } from './tables.ts'
import { treeCpuSeconds } from './tree-usage.ts'
import { measureVerify } from './verify.ts'

const SMOKE_ROWS = 300_000
const SMOKE_DOCUMENTS = 20_000

/** What was started behind the first server. */
const closing: (() => Promise<void>)[] = []

const { values } = parseArgs({
  options: {
    rows: { type: 'string' },
    pairs: { type: 'string', default: '3' },
    'document-bytes': { type: 'string', default: '400' },
    only: { type: 'string' },
    smoke: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    storage: { type: 'boolean', default: false },
    overhead: { type: 'boolean', default: false },
    verify: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  if (values.help) {
    console.log(
      'npm run bench -- [--rows N] [--pairs N] [--document-bytes N] [--only ROUTE,...] [--record] [--overhead] [--storage] [--verify] [--smoke]',
    )
    console.log(`routes: ${[...ROUTES, ...MONGO_ROUTES].map(({ name }) => name).join(', ')}`)
    return 0
  }
  if (values.storage) {
    await benchStorage()
    return 0
  }
  const wanted = (route: Route): boolean => values.only === undefined || values.only.split(',').includes(route.name)
  const routes = [...ROUTES, ...MONGO_ROUTES].filter(wanted)
  const server = await postgres({
    flags: ['shared_buffers=256MB', 'max_wal_size=8GB', 'synchronize_seqscans=off'].flatMap((setting) => [
      '-c',
      setting,
    ]),
  })
  const folder = await mkdtemp(join(tmpdir(), 'nebula-bench-'))
  try {
    const ground = await prepareGround(server, folder, routes)
    if (values.overhead) return await printOverhead(routes, ground)
    if (values.verify) {
      for await (const line of measureVerify(ground, Number(values.pairs))) console.log(line)
      return 0
    }
    console.log(TABLE_HEAD)
    const results: Result[] = []
    for (const route of routes) {
      if (MONGO_ROUTES.includes(route) && !ground.mongo) continue
      const result = await runRoute(route, ground, Number(values.pairs))
      console.log(resultLine(result))
      results.push(result)
    }
    const heap = values.smoke || ground.rows === 0 ? undefined : await heapBytesPerRow(ground)
    if (heap !== undefined) console.log(`heap bytes per row of fixed-width columns: ${heap.toFixed(2)}`)
    if (values.record) await record(results, { smoke: values.smoke, heap })
    return values.smoke ? await smokeVerdict(results) : 0
  } finally {
    for (const close of closing) await close()
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
}

/** What no route needs is not made. */
async function prepareGround(server: { url: string }, folder: string, routes: readonly Route[]): Promise<Ground> {
  const sourceUrl = await createDatabase(server, 'bench_source')
  const targetUrl = await createDatabase(server, 'bench_target')
  const lineitemCsv = join(folder, 'lineitem.csv')
  const isAll = values.overhead || values.verify
  const isSql = isAll || routes.some((route) => ROUTES.includes(route))
  const rows = isSql ? Number(values.rows ?? (values.smoke ? SMOKE_ROWS : 2_000_000)) : 0
  const ground = { sourceUrl, targetUrl, folder, rows, lineitemCsv }
  if (isSql) await prepareLineitem(ground)
  return isAll || !routes.some((route) => MONGO_ROUTES.includes(route)) ? ground : withMongo(ground)
}

async function prepareLineitem(ground: Ground): Promise<void> {
  await withClient(ground.sourceUrl, (client) => createLineitem(client, ground.rows))
  const [export_] = [ROUTES.find(({ name }) => name === 'pg-csv')?.limit?.(ground) ?? []].flat()
  const args = export_?.args.map((arg) => (arg.endsWith('limit.csv') ? ground.lineitemCsv : arg))
  if (args) await measure({ ...export_, args })
}

/** Without one, and where nobody asks for its routes by name, they are left out. */
async function withMongo(ground: Ground): Promise<Ground> {
  const server = await startMongo().catch((error: Error) => {
    if (process.env['CI'] === 'true' || values.only !== undefined) throw error
    console.error(`${error.message} The routes of MongoDB are left out.`)
    return undefined
  })
  if (!server) return ground
  closing.push(() => server.stop())
  const count = values.rows ?? (values.smoke ? SMOKE_DOCUMENTS : undefined)
  const asked = count === undefined ? undefined : Number(count)
  return { ...ground, mongo: await prepareMongo(ground, server, asked, Number(values['document-bytes'])) }
}

/** Limit and Nebula in turn, so that a machine that changes its speed changes both. */
async function runRoute(route: Route, ground: Ground, pairs: number): Promise<Result> {
  const limits: number[] = []
  const runs = []
  for (let pair = 0; pair < pairs; pair++) {
    if (route.limit) {
      await route.reset(ground)
      await createLimitTable(ground)
      limits.push(await limitSeconds(route, [route.limit(ground)].flat()))
    }
    await route.reset(ground)
    runs.push(await measure(await route.nebula(ground)))
    await route.check(ground)
  }
  return {
    route: route.name,
    title: route.title,
    bar: route.bar,
    goal: route.goal,
    rows: route.rows(ground),
    table: ROUTES.includes(route) ? 'bench' : 'bench-mongo',
    limits,
    runs,
  }
}

/** The longest of the limits, each by itself; where they would share the cores, no less than those need for all of them. */
async function limitSeconds({ sharesCores }: Route, commands: readonly Command[]): Promise<number> {
  const seconds: number[] = []
  const before = treeCpuSeconds()
  for (const command of commands) seconds.push((await measure(command)).seconds)
  if (sharesCores) seconds.push((treeCpuSeconds() - before) / availableParallelism())
  return Math.max(...seconds)
}

async function printOverhead(routes: readonly Route[], ground: Ground): Promise<number> {
  console.log(OVERHEAD_HEAD)
  const measured: Overhead[] = []
  for (const route of routes) {
    // What changes values is neither base nor runtime.
    if (!ROUTES.includes(route) || route.name === 'pg-pg-changed') continue
    const overhead = await measureOverhead(route, ground, Number(values.pairs))
    measured.push(overhead)
    console.log(overheadLine(route, overhead))
  }
  console.log(overheadTotal(measured))
  return 0
}

async function smokeVerdict(results: readonly Result[]): Promise<number> {
  const slow = await belowBaseline(results)
  for (const line of slow) console.error(line)
  return slow.length > 0 ? 1 : 0
}

process.exitCode = await main()
