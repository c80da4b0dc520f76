import type { Checkpoint, Field, RecordBatch, Run, StreamPlan, WriteTask } from '@nebula/core'
import { describe, expect, inject, test } from 'vitest'
import { Session } from '../src/connection.ts'
import { codeOf, Database, Route } from './harness.ts'

const COUNTS = { read: 0, written: 0, filtered: 0, rejected: 0, bytes: 0 }

/** A run of one stream, prepared, and all batches of its first partition. */
async function prepared(route: Route, options: Parameters<Route['agree']>[1] = {}) {
  const { plan: stream, read } = await route.agree('public.t', options)
  const plan = await route.source.plan([read], 1e9, undefined, route.context)
  const run = await route.run([stream], plan)
  const [partition] = plan.partitions
  if (!partition) throw new Error('no partition')
  const batches: RecordBatch[] = []
  const task = {
    partition,
    stream: read,
    snapshot: plan.snapshot as string,
    batch: { rows: 1000, bytes: 1e6, delayMs: 10_000 },
  }
  for await (const batch of route.source.read(task, route.context)) batches.push(batch)
  return { run, stream, partition, batches, task: taskOf(run, stream) }
}

function taskOf(run: Run, stream: StreamPlan, isolate = false): WriteTask {
  const [partition] = run.plan.partitions
  if (!partition) throw new Error('no partition')
  return { run, partition, stream, order: 0, partitions: 1, isolate }
}

function checkpoint(run: Run, sequence = 1): Checkpoint {
  return { partition: run.plan.partitions[0]?.id ?? '', sequence, done: true, counts: COUNTS }
}

/** Of one version: it is the driver that is tested, and the suite runs on both. */
describe('PostgreSQL 18', () => {
  const server = inject('postgres')['18']
  const seed = [
    'CREATE TABLE t (id int4 PRIMARY KEY, v text NOT NULL)',
    `INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 100) g`,
  ]

  test('a run that was taken over is fenced in commit, finish and prepare', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    const { run, stream, batches, task } = await prepared(route)
    const zombie = await route.destination.writer(task, route.context)
    for (const batch of batches) await zombie.write(batch, 0, batch.rows)
    const newer: Run = { ...run, epoch: run.epoch + 1 }
    await route.destination.prepare(newer, route.context)
    expect(await codeOf(zombie.commit(checkpoint(run)))).toBe('fenced')
    await zombie.abort(undefined)
    expect(await codeOf(route.destination.finish(run, ['public.t'], route.context))).toBe('fenced')
    expect(await codeOf(route.destination.discard(run, ['public.t'], route.context))).toBe('fenced')
    expect(await codeOf(route.destination.prepare(run, route.context))).toBe('fenced')
    const writer = await route.destination.writer(taskOf(newer, stream), route.context)
    for (const batch of batches) await writer.write(batch, 0, batch.rows)
    await writer.commit(checkpoint(newer))
    await route.destination.finish(newer, ['public.t'], route.context)
    expect(await to.count('t')).toBe(100)
  })

  test('a process of a run that was given up commits nothing into the next, whose epochs begin again', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    const { run, task } = await prepared(route)
    await route.destination.discard(run, ['public.t'], route.context)
    const next: Run = { ...run, id: 'next' }
    await route.destination.prepare(next, route.context)
    // Without rows: those had a staging table that is gone.
    const zombie = await route.destination.writer(task, route.context)
    expect(await codeOf(zombie.commit(checkpoint(run)))).toBe('fenced')
    await zombie.abort(undefined)
    expect(await codeOf(route.destination.finish(run, ['public.t'], route.context))).toBe('fenced')
    expect((await route.destination.recall('test', route.context))?.checkpoints).toEqual([])
  })

  test('rows whose checkpoints somebody removed are not said to be in their target', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    const { run } = await route.move('public.t', { finish: false })
    await to.query('DELETE FROM nebula_checkpoints')
    expect(await codeOf(route.destination.finish(run, ['public.t'], route.context))).toBe('fenced')
    await to.query('DROP TABLE nebula_checkpoints')
    expect(await codeOf(route.destination.finish(run, ['public.t'], route.context))).toBe('query_failed')
  })

  test('pipelines of one name that keep their checkpoints apart leave the staging of each other alone', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    await using other = new Route(from.url, to.url, { schema: 'o?the#r' })
    const { run } = await route.move('public.t', { finish: false, target: 'public.t' })
    await other.move('public.t', { target: 'public.u' })
    await route.destination.finish(run, ['public.t'], route.context)
    expect([await to.count('t'), await to.count('u')]).toEqual([100, 100])
  })

  test('a prepare waits for a commit under way, and the other way around', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    const { run, batches, task } = await prepared(route)
    const writer = await route.destination.writer(task, route.context)
    for (const batch of batches) await writer.write(batch, 0, batch.rows)
    const [committed, fenced] = await Promise.allSettled([
      writer.commit(checkpoint(run)),
      route.destination.prepare({ ...run, epoch: run.epoch + 1 }, route.context),
    ])
    expect(fenced.status).toBe('fulfilled')
    const recalled = await route.destination.recall('test', route.context)
    expect(recalled?.checkpoints.length).toBe(committed.status === 'fulfilled' ? 1 : 0)
    expect(recalled?.run.epoch).toBe(run.epoch + 1)
    const [table] = await to.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relname LIKE 'nebula\\_stage%'`,
    )
    expect(await to.count(table?.name ?? '')).toBe(committed.status === 'fulfilled' ? 100 : 0)
  })

  test('a commit that is repeated is refused, and doubles nothing', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    await from.query('ALTER TABLE t DROP CONSTRAINT t_pkey')
    const { run, batches, task } = await prepared(route)
    for (const expected of [undefined, 'already_committed']) {
      const writer = await route.destination.writer(task, route.context)
      for (const batch of batches) await writer.write(batch, 0, batch.rows)
      expect(await codeOf(writer.commit(checkpoint(run)))).toBe(expected)
      await writer.abort(undefined)
    }
    const more = await route.destination.writer(task, route.context)
    for (const batch of batches) await more.write(batch, 0, 1)
    await more.commit(checkpoint(run, 2))
    await route.destination.finish(run, ['public.t'], route.context)
    await route.destination.finish(run, ['public.t'], route.context)
    expect(await to.count('t')).toBe(100 + batches.length)
  })

  test('an aborted writer leaves no trace and gives its connection back', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url, { maxConcurrency: 2 })
    const { run, batches, task } = await prepared(route)
    for (let i = 0; i < 5; i++) {
      const writer = await route.destination.writer(task, route.context)
      for (const batch of batches) await writer.write(batch, 0, batch.rows)
      await writer.abort(new Error('enough'))
    }
    const writer = await route.destination.writer(task, route.context)
    await writer.commit(checkpoint(run))
    await route.destination.finish(run, ['public.t'], route.context)
    expect(await to.count('t')).toBe(0)
  })

  test('isolating names exactly the rows that the server refuses', async () => {
    await using from = await Database.create(
      server,
      'CREATE TABLE t (id int4, n text, at text)',
      `INSERT INTO t SELECT g, CASE WHEN g IN (1, 2, 50, 100) THEN 'x"y' ELSE g::text END, '2024-01-01' FROM generate_series(1, 100) g`,
      `UPDATE t SET at = 'nonsense' WHERE id = 77`,
      `UPDATE t SET n = NULL WHERE id = 78`,
      `UPDATE t SET n = '-1' WHERE id = 79`,
    )
    await using to = await Database.create(
      server,
      'CREATE DOMAIN positive AS int4 CHECK (VALUE > 0)',
      'CREATE TABLE target (id int4, n positive NOT NULL, at timetz, CONSTRAINT small CHECK (id <> 80))',
    )
    await from.query(`UPDATE t SET at = '12:00+01' WHERE id <> 77`)
    await using route = new Route(from.url, to.url)
    const shape = (fields: readonly Field[]) => fields.map(({ name, type, nullable }) => ({ name, type, nullable }))
    const moved = await route.move('public.t', {
      target: 'target',
      mode: 'append',
      isolate: true,
      wire: false,
      shape,
      batchRows: 60,
    })
    const refused = moved.rejected.map(({ place, column, code }) => [
      Number(/row (\d+)/.exec(place)?.[1]),
      column,
      code,
    ])
    const order = (await from.query<{ id: number }>('SELECT id FROM t')).map(({ id }) => id)
    const found = refused
      .map(([row, ...rest]) => [order[Number(row) - 1], ...rest])
      .sort((a, b) => Number(a[0]) - Number(b[0]))
    expect(found).toEqual([
      [1, 'n', '22P02'],
      [2, 'n', '22P02'],
      [50, 'n', '22P02'],
      [77, 'at', '22007'],
      [78, 'n', '23502'],
      [79, 'n', '23514'],
      [80, undefined, '23514'],
      [100, 'n', '22P02'],
    ])
    expect(moved.rejected.every(({ reason }) => !reason.includes('x"y') && !reason.includes('nonsense'))).toBe(true)
    expect(await to.count('target')).toBe(92)
    expect(await codeOf(route.move('public.t', { target: 'target', mode: 'append', wire: false, shape }))).toBe(
      'row_rejected',
    )
    expect(await to.count('target')).toBe(92)
  })

  test('isolating binary rows works alike, as columns and as wire', async () => {
    await using from = await Database.create(
      server,
      ...seed,
      'ALTER TABLE t ALTER v DROP NOT NULL',
      'UPDATE t SET v = NULL WHERE id IN (3, 99)',
    )
    for (const wire of [true, false]) {
      await using to = await Database.create(server, 'CREATE TABLE t (id int4 NOT NULL, v text NOT NULL)')
      await using route = new Route(from.url, to.url)
      const moved = await route.move('public.t', { isolate: true, wire })
      expect(moved.wire).toBe(wire ? 'postgres/copy-binary' : undefined)
      expect(moved.rejected.map(({ column, code }) => [column, code])).toEqual([
        ['v', '23502'],
        ['v', '23502'],
      ])
      expect(await to.query('SELECT id FROM t WHERE v IS NULL OR id IN (3, 99)')).toEqual([])
      expect(await to.count('t')).toBe(98)
    }
  })

  test('a connection that dies during COMMIT is asked about afterwards', async () => {
    await using from = await Database.create(server, ...seed)
    await using to = await Database.create(server)
    await using route = new Route(from.url, to.url)
    for (const arrives of [true, false]) {
      const { run, batches, task } = await prepared(route)
      const writer = await route.destination.writer(task, route.context)
      for (const batch of batches) await writer.write(batch, 0, batch.rows)
      const pid = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nebula' AND xact_start IS NOT NULL`
      loseCommit(arrives)
      expect(await codeOf(writer.commit(checkpoint(run)))).toBe(arrives ? undefined : 'connection_lost')
      await writer.abort(undefined)
      expect((await route.destination.recall('test', route.context))?.checkpoints).toHaveLength(arrives ? 1 : 0)
      expect(await to.query(pid)).toEqual([])
    }
  })
})

/** Cuts the connection when COMMIT is sent: after the server has answered, or before it hears of it. */
function loseCommit(arrives: boolean): void {
  const { prototype } = Session
  const original = Object.getOwnPropertyDescriptor(prototype, 'execute')?.value as Session['execute']
  prototype.execute = async function (this: Session, sql: string, values?: readonly unknown[]) {
    if (sql !== 'COMMIT') return original.call(this, sql, values)
    prototype.execute = original
    if (arrives) await original.call(this, sql)
    this.client.connection.stream.destroy()
    return original.call(this, 'SELECT 1')
  }
}
