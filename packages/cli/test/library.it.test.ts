import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Destination, RowObject, Source } from '@nebula/core'
import { createDestination, createSource } from '@nebula/runtime'
import { createDatabase } from '@nebula/testkit'
import pg from 'pg'
import { beforeAll, describe, expect, inject, onTestFinished, test, vi } from 'vitest'

/** Programs that use connectors without pipelines. */
let url: string
let client: pg.Client

beforeAll(async () => {
  url = await createDatabase({ url: inject('postgres')['18'] })
  client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`CREATE TABLE people (id bigint PRIMARY KEY, name text, born date, tags text[], score numeric(10,2));
    INSERT INTO people SELECT i, 'name ' || i, date '1970-01-01' + i, ARRAY['a', null], i / 4.0 FROM generate_series(1, 25000) i;
    ANALYZE people`)
  return () => client.end()
})

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'nebula-library-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

async function opened<T extends Source | Destination>(creating: Promise<T>): Promise<T> {
  const endpoint = await creating
  onTestFinished(() => endpoint.close())
  await endpoint.initialize()
  return endpoint
}

const postgresSource = (keys: object = {}): Promise<Source> => opened(createSource('postgres', { url, ...keys }))
const postgresTarget = (keys: object = {}): Promise<Destination> =>
  opened(createDestination('postgres', { url, ...keys }))

/** Connections of Nebula at the server, and those of them that keep a transaction open. */
async function connections(): Promise<{ all: number; inTransaction: number }> {
  const { rows } = await client.query<{ all: number; inTransaction: number }>(`SELECT count(*)::int AS all,
    count(*) FILTER (WHERE state <> 'idle')::int AS "inTransaction" FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'nebula'`)
  return rows[0] ?? { all: -1, inTransaction: -1 }
}

describe('createSource', () => {
  test('takes keys in either spelling, checks them, and has the defaults', async () => {
    const given = { host: 'nowhere.invalid', performance: { batch_size: 7 }, timeouts: { connection: '1s' } }
    const source = await createSource('postgres', given)
    expect(source.name).toBe('postgres')
    await expect(source.initialize()).rejects.toMatchObject({ code: 'connection_failed', connector: 'postgres' })
    await source.close()
    await expect(createSource('postgres', { performance: { batchsize: 7 } })).rejects.toMatchObject({
      code: 'config_unknown_key',
    })
    await expect(createSource('postgers', {})).rejects.toMatchObject({ code: 'connector_not_found' })
    await expect(createDestination('csv', {})).rejects.toMatchObject({ code: 'config_invalid' })
  })
})

describe('a source', () => {
  test('describes, reads, and is left without a trace at the server', async () => {
    const source = await postgresSource()
    const { fields } = await source.schema('public.people')
    expect(fields.map(({ name, type }) => [name, type.kind])).toEqual([
      ['id', 'int64'],
      ['name', 'utf8'],
      ['born', 'date'],
      ['tags', 'utf8'],
      ['score', 'decimal'],
    ])
    let rows = 0
    for await (const batch of source.read('public.people', { columns: ['id', 'score'] })) {
      rows += batch.rows
      batch.release()
    }
    expect(rows).toBe(25_000)
    for await (const record of source.records()) {
      expect(record.data).toEqual({ id: 1n, name: 'name 1', born: 1, tags: '{a,NULL}', score: 25n })
      break
    }
    // Each reading had connections of its own; what is left is that of `discover`.
    await vi.waitFor(async () => expect(await connections()).toEqual({ all: 1, inTransaction: 0 }))
    expect((await source.health()).status).toBe('healthy')
    await source.close()
    await vi.waitFor(async () => expect((await connections()).all).toBe(0))
  })

  test('goes on batch by batch under one snapshot, and closes while it is read', async () => {
    const source = await postgresSource()
    const first = await source.readBatch(9_999)
    await client.query("INSERT INTO people VALUES (0, 'late')")
    const second = await source.readBatch(9_999)
    const third = await source.readBatch(9_999)
    expect([first?.rows, second?.rows, third?.rows]).toEqual([9_999, 9_999, 5_002])
    expect(second?.record(0).get('id')).toBe(10_000n)
    for (const batch of [first, second, third]) batch?.release()
    expect(await source.readBatch(1)).toBeUndefined()
    await source.readBatch(10)
    await client.query('DELETE FROM people WHERE id = 0')
    await source.close()
    await vi.waitFor(async () => expect((await connections()).all).toBe(0))
  })

  test('two readings at once do not disturb each other', async () => {
    const source = await postgresSource({ performance: { batchSize: 500 } })
    const [a, b] = [source.records(), source.records()].map((records) => records[Symbol.asyncIterator]())
    const ids: unknown[][] = [[], []]
    for (;;) {
      const [one, other] = [await a?.next(), await b?.next()]
      if (one?.done !== false || other?.done !== false) break
      ids[0]?.push(one.value.get('id'))
      ids[1]?.push(other.value.get('id'))
    }
    const all = Array.from({ length: 25_000 }, (_, i) => BigInt(i + 1))
    expect(ids).toEqual([all, all])
  })

  test('stops at once when its signal fires', async () => {
    const source = await postgresSource()
    const stop = new AbortController()
    const reading = source.read('public.people', { signal: stop.signal })[Symbol.asyncIterator]()
    ;((await reading.next()) as { value: { release(): void } }).value.release()
    stop.abort()
    await expect(reading.next()).rejects.toMatchObject({ code: 'aborted' })
    await vi.waitFor(async () => expect(await connections()).toEqual({ all: 1, inTransaction: 0 }))
  })

  test('tells of a schema that changed', async () => {
    await client.query('CREATE TABLE changing (a int)')
    const source = await postgresSource()
    await source.schema('public.changing')
    await client.query('ALTER TABLE changing ADD b text')
    const told: unknown[] = []
    source.handleSchemaChange(({ stream, after }) => void told.push([stream, after?.fields.map(({ name }) => name)]))
    for await (const batch of source.read('public.changing')) batch.release()
    expect(told).toEqual([['public.changing', ['a', 'b']]])
    expect(() => source.readChanges()).toThrow(expect.objectContaining({ code: 'unsupported' }))
    await client.query('DROP TABLE changing')
  })
})

describe('a destination', () => {
  const schema = { id: 'int64', name: 'text', at: 'timestamptz', price: 'decimal(10,2)', doc: 'json' }
  const row = (id: number): RowObject => ({
    id,
    name: `name ${id}`,
    at: new Date(id * 1000),
    price: `${id}.50`,
    doc: { id },
  })

  async function table(name: string): Promise<unknown[]> {
    return (await client.query(`SELECT id::int, name, at, price::text, doc FROM ${name} ORDER BY id`)).rows
  }

  test.each(['row', 'columnar', 'hybrid'])('writes objects into a table, all at once: %s', async (storageMode) => {
    const destination = await postgresTarget({ advanced: { storageMode }, performance: { batchSize: 50 } })
    const target = `objects_${storageMode}`
    const [prepared] = await destination.prepare({ stream: 'objects', target, schema })
    expect(prepared?.accepted.columns.map(({ fidelity }) => fidelity)).toEqual(Array(5).fill('exact'))
    const rows = Array.from({ length: 120 }, (_, i) => row(i))
    await destination.write(rows.slice(0, 100))
    await destination.commit()
    await expect(table(target)).rejects.toThrow('does not exist')
    for (const one of rows.slice(100)) await destination.write(one)
    await destination.finish()
    expect(await table(target)).toEqual(
      rows.map((_, id) => ({ id, name: `name ${id}`, at: new Date(id * 1000), price: `${id}.50`, doc: { id } })),
    )
    expect(destination.metrics()).toMatchObject({ rows: 120, durable: 120 })
    expect((await destination.describe(target))?.foreignRows).toBe(false)
  })

  test('a table of others is not overwritten unless it is said', async () => {
    await client.query('CREATE TABLE theirs AS SELECT 1 AS id')
    const destination = await postgresTarget()
    await expect(destination.prepare({ stream: 'theirs', schema: { id: 'int32' } })).rejects.toMatchObject({
      code: 'target_not_ours',
    })
    await destination.prepare({ stream: 'theirs', schema: { id: 'int32' }, mode: 'append' })
    await destination.write({ id: 2 })
    await destination.finish()
    expect((await client.query('SELECT id FROM theirs ORDER BY id')).rows).toEqual([{ id: 1 }, { id: 2 }])
  })

  test('a row that the server refuses takes back what was not committed', async () => {
    await client.query('CREATE TABLE checked (id bigint CHECK (id < 100))')
    const destination = await postgresTarget()
    await destination.prepare({ stream: 'checked', schema: { id: 'int64' }, mode: 'append' })
    await destination.write({ id: 1 })
    await destination.commit()
    await destination.write([{ id: 2 }, { id: 100 }])
    await expect(destination.commit()).rejects.toMatchObject({ code: 'row_rejected', stream: 'checked' })
    await destination.write({ id: 3 })
    await destination.finish()
    expect((await client.query('SELECT id::int FROM checked ORDER BY id')).rows).toEqual([{ id: 1 }, { id: 3 }])
  })

  test.each(['postgres', 'csv'])('a program that died goes on where it committed: %s', async (kind) => {
    const path = await folder()
    const create = (): Promise<Destination> =>
      opened(kind === 'csv' ? createDestination('csv', { path }) : createDestination('postgres', { url }))
    const stream = { stream: 'resumed', schema: { id: 'int64' }, mode: 'overwrite' } as const
    /** Writes rows `from` to `to`, committing every ten, and returns where it began. */
    const program = async (to: number, finish: boolean): Promise<unknown> => {
      const destination = await create()
      const [prepared] = await destination.prepare(stream, { name: `program-${kind}` })
      const from = Number(prepared?.committed?.position ?? 0)
      for (let id = from; id < to; id++) {
        await destination.write({ id })
        if (id % 10 === 9) await destination.commit({ position: id + 1 })
      }
      if (finish) await destination.finish()
      await destination.close()
      return prepared?.committed
    }
    expect(await program(25, false)).toBeUndefined()
    expect(await program(47, false)).toEqual({ rows: 20, position: 20, done: false })
    expect(await program(60, true)).toEqual({ rows: 40, position: 40, done: false })
    const ids =
      kind === 'csv'
        ? (await readFile(join(path, 'resumed.csv'), 'utf8')).trimEnd().split('\n').slice(1).map(Number)
        : (await client.query<{ id: number }>('SELECT id::int FROM resumed ORDER BY id')).rows.map(({ id }) => id)
    expect(ids).toEqual(Array.from({ length: 60 }, (_, i) => i))
    // A run that ended is not gone on with.
    expect(await program(0, false)).toBeUndefined()
  })

  test('without a name, nothing is left of a program that gave up', async () => {
    const path = await folder()
    const destination = await opened(createDestination('csv', { path }))
    await destination.prepare({ stream: 'a', schema: { id: 'int64' } })
    await destination.write({ id: 1 })
    await destination.commit()
    await destination.close()
    expect((await readdir(path)).filter((name) => name !== '.nebula')).toEqual([])
    expect((await readdir(join(path, '.nebula'))).filter((name) => name.endsWith('.run'))).toEqual([])
  })
})

describe('from end to end', () => {
  test('batches of a source go into a destination as they are', async () => {
    const path = await folder()
    const source = await postgresSource()
    const out = await opened(createDestination('csv', { path, advanced: { compression: { algorithm: 'gzip' } } }))
    await out.prepare({ stream: 'people', schema: await source.schema('public.people') })
    for await (const batch of source.read('public.people')) {
      await out.write(batch)
      batch.release()
    }
    await out.finish()
    const back = await opened(createSource('csv', { path }))
    const target = await postgresTarget()
    const schema = { id: 'int64', name: 'text', born: 'date', tags: 'text', score: 'text' }
    await target.prepare({ stream: 'copied', schema })
    for await (const record of back.records()) await target.write(record)
    await target.finish()
    const { rows } = await client.query(`SELECT count(*)::int AS same FROM copied c JOIN people p ON c.id = p.id
      WHERE (c.name, c.born, c.tags::text[], c.score::numeric) IS NOT DISTINCT FROM (p.name, p.born, p.tags, p.score)`)
    expect(rows).toEqual([{ same: 25_000 }])
  })
})

describe('the examples of the READMEs', () => {
  /** Runs the example that begins with a comment, as its own process. */
  async function example(readme: string, begin: string, cwd: string): Promise<string> {
    const text = await readFile(new URL(`../../${readme}/README.md`, import.meta.url), 'utf8')
    const code = [...text.matchAll(/```ts\n([^]*?)```/g)]
      .map(([, block]) => block ?? '')
      .find((b) => b.startsWith(begin))
    if (code === undefined) throw new Error(`no example in ${readme}`)
    const package_ = new URL(`../../${cwd}/`, import.meta.url)
    const out = await folder()
    const script = code.replaceAll('./out', out)
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--conditions=source', '--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', script],
      { cwd: package_, env: { ...process.env, NODE_OPTIONS: '', SOURCE_URL: url } },
    )
    const files = await readdir(out)
    return stdout + files.filter((name) => !name.startsWith('.')).join()
  }

  test('of @nebula/runtime', async () => {
    expect(await example('runtime', '// A program', 'connector-postgres')).toBe('name 1\n25000 rows\npeople.csv')
  }, 60_000)

  test('of @nebula/base', async () => {
    expect(await example('base', '// A connector', 'connector-postgres')).toBe('0\n1\n2\n')
  })
})
