import { randomBytes } from 'node:crypto'
import type { Checkpoint, Run } from '@nebula/core'
import { expect, inject, test } from 'vitest'
import { codeOf, Database, Route } from './harness.ts'

const server = inject('postgres')['18']
const DROP = `DO $$ DECLARE name text; BEGIN
  SELECT relname INTO STRICT name FROM pg_class WHERE relname LIKE 'nebula_stage%';
  EXECUTE format('DROP TABLE %I', name); END $$`

async function databases(): Promise<{ from: Database; to: Database }> {
  const from = await Database.create(
    server,
    'CREATE TABLE t (id int4 PRIMARY KEY)',
    'INSERT INTO t SELECT generate_series(1, 100)',
  )
  return { from, to: await Database.create(server) }
}

/** Commits the one partition, and does not finish. */
async function interrupted(route: Route): Promise<Run> {
  return (await route.move('public.t', { finish: false })).run
}

async function checkpoints(route: Route): Promise<readonly Checkpoint[] | undefined> {
  return (await route.destination.recall('test', route.context))?.checkpoints
}

test('what was in a staging table that is gone is forgotten, and comes again', async () => {
  const { from, to } = await databases()
  await using _from = from
  await using _to = to
  await using route = new Route(from.url, to.url)
  const run = await interrupted(route)
  expect(await checkpoints(route)).toHaveLength(1)
  await to.query(DROP)
  expect(await checkpoints(route)).toEqual([])
  const next: Run = { ...run, epoch: run.epoch + 1 }
  await route.destination.prepare(next, route.context)
  const [partition] = next.plan.partitions
  const { read } = await route.agree('public.t')
  if (partition) await route.task(next, partition, read)
  await route.destination.finish(next, ['public.t'], route.context)
  expect(await to.count('t')).toBe(100)
})

test('a staging table that goes between recall and prepare stops the run, and the next one knows', async () => {
  const { from, to } = await databases()
  await using _from = from
  await using _to = to
  await using route = new Route(from.url, to.url)
  const run = await interrupted(route)
  expect(await checkpoints(route)).toHaveLength(1)
  await to.query(DROP)
  const next: Run = { ...run, epoch: run.epoch + 1 }
  expect(await codeOf(route.destination.prepare(next, route.context))).toBe('conflict')
  expect(await checkpoints(route)).toEqual([])
  await route.destination.prepare(next, route.context)
})

test('a user who does not see the staging table cannot go on, and nothing is forgotten', async () => {
  const { from, to } = await databases()
  await using _from = from
  await using _to = to
  await using route = new Route(from.url, to.url)
  const run = await interrupted(route)
  const name = `other_${randomBytes(6).toString('hex')}`
  await to.query(`CREATE ROLE ${name} LOGIN PASSWORD 'x'`)
  try {
    await to.query(`GRANT ALL ON SCHEMA public TO ${name}`)
    await to.query(`GRANT ALL ON nebula_checkpoints TO ${name}`)
    const url = new URL(to.url)
    Object.assign(url, { username: name, password: 'x' })
    await using other = new Route(from.url, url.href)
    expect(await checkpoints(other)).toEqual([])
    const next: Run = { ...run, epoch: run.epoch + 1 }
    expect(await codeOf(other.destination.prepare(next, other.context))).toBe('permission_denied')
  } finally {
    await to.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`)
  }
  expect(await checkpoints(route)).toHaveLength(1)
})
