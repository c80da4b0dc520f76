import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PipelinePlan } from '@nebula/inspect'
import { createDatabase } from '@nebula/testkit'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { oneLine } from '../src/style.ts'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()

/** What hostile users call their columns; numbered up to 200. */
const NAMES = [
  'say "hi"',
  'a.b',
  'with blank',
  'da-sh',
  'wh?t',
  '100%',
  ':colon',
  '$1',
  '🦊',
  'select',
  'MixedCase',
  'mixedcase',
  '1st',
  'trailing ',
  ' leading',
  "it's",
  'back\\slash',
  'tab\there',
  'line\nbreak',
  // 63 bytes, of which the last two are one character.
  `${'x'.repeat(61)}é`,
]
const COLUMNS = [...NAMES, ...Array.from({ length: 200 - NAMES.length }, (_, i) => `column ${i}`)]
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Two databases, and users who may not do everything. */
class Scene implements AsyncDisposable {
  readonly #clients: pg.Client[]
  readonly environment: Record<string, string> = {}
  readonly #roles: string[]

  private constructor(clients: pg.Client[], roles: string[]) {
    this.#clients = clients
    this.#roles = roles
  }

  static async create(): Promise<Scene> {
    const server = { url: inject('postgres')['18'] }
    const urls = [await createDatabase(server), await createDatabase(server)]
    const clients = urls.map((url) => new pg.Client({ connectionString: url }))
    await Promise.all(clients.map((client) => client.connect()))
    const id = new URL(urls[0] ?? '').pathname.slice(-8)
    const scene = new Scene(clients, [`reader_${id}`, `writer_${id}`])
    for (const [i, role] of scene.#roles.entries()) {
      await scene.query(i, `CREATE ROLE ${role} LOGIN PASSWORD 'marked-password'`)
      const url = new URL(urls[i] ?? '')
      url.username = role
      url.password = 'marked-password'
      scene.environment[i === 0 ? 'SOURCE' : 'TARGET'] = url.href
    }
    return scene
  }

  /** Statements at the source (0) or the target (1); `USER` stands for the role of that end. */
  async query(end: number, sql: string): Promise<unknown[]> {
    const result = await this.#clients[end]?.query(sql.replaceAll('USER', this.#roles[end] ?? ''))
    return [result].flat().at(-1)?.rows ?? []
  }

  /** Everything that there is in a database, and how many rows its tables saw come or go. */
  async contents(end: number): Promise<unknown> {
    return this.query(
      end,
      `SELECT json_build_array(
        (SELECT json_agg(json_build_array(c.oid, c.relname, c.relfilenode, c.relacl::text) ORDER BY c.oid) FROM pg_class c),
        (SELECT json_agg(json_build_array(a.attrelid, a.attname, a.atttypid) ORDER BY a.attrelid, a.attnum) FROM pg_attribute a),
        (SELECT json_agg(json_build_array(n.oid, n.nspname) ORDER BY n.oid) FROM pg_namespace n),
        (SELECT json_agg(t.oid ORDER BY t.oid) FROM pg_type t),
        (SELECT json_agg(standing.*) FROM standing))`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [i, role] of this.#roles.entries()) await this.query(i, `DROP OWNED BY ${role}; DROP ROLE ${role}`)
    await Promise.all(this.#clients.map((client) => client.end()))
  }
}

let scene: Scene

beforeEach(async () => {
  scene = await Scene.create()
  await scene.query(
    0,
    `CREATE TABLE wide (${COLUMNS.map((name) => `${quoted(name)} integer`).join(', ')}); ANALYZE wide;
     CREATE TABLE standing (id integer, document json, note text); CREATE TABLE lines (id integer);
     CREATE TABLE a (id integer); CREATE TABLE b (id integer); CREATE TABLE c (id integer); CREATE TABLE d (id integer);
     CREATE TABLE e (id integer); GRANT SELECT ON ALL TABLES IN SCHEMA public TO USER;
     CREATE TABLE secrets (id integer)`,
  )
  await scene.query(
    1,
    `GRANT CREATE ON SCHEMA public TO USER; CREATE TABLE standing (id smallint, document jsonb, needed text NOT NULL);
     INSERT INTO standing VALUES (1, '{}', 'x'); GRANT SELECT, INSERT ON standing TO USER;
     CREATE VIEW looks AS SELECT 1 AS id; CREATE SCHEMA locked; CREATE TABLE locked.full (id integer)`,
  )
  for (const [name, value] of Object.entries(scene.environment)) process.env[`PLAN_${name}`] = value
})

afterEach(async () => {
  await scene[Symbol.asyncDispose]()
})

async function plan(streams: object): Promise<{ code: number; plan: PipelinePlan; text: string }> {
  const file = join(folder(), 'shop.yaml')
  const ends = {
    source: { connector: 'postgres', url: '${PLAN_SOURCE}' },
    destination: { connector: 'postgres', url: '${PLAN_TARGET}' },
  }
  await writeFile(file, JSON.stringify({ ...ends, streams }))
  const { code, stdout } = await nebula('plan', file, '--json')
  const text = await nebula('plan', file)
  expect(text.code).toBe(code)
  expect(stdout + text.stdout + text.stderr).not.toContain('marked-password')
  return { code, plan: JSON.parse(stdout) as PipelinePlan, text: text.stdout }
}

describe('nebula plan, between real servers', () => {
  test('says every problem of every stream at once, and writes nothing', async () => {
    const before = [await scene.contents(0), await scene.contents(1)]
    const wide = {
      rename: {
        'a.b': `${'y'.repeat(62)}é`,
        'da-sh': 'twice',
        '100%': 'twice',
        $1: 'ctid',
        'no such': 'x',
      },
      exclude: ['colum 7'],
      allow_loss: ['MixedCas'],
    }
    const {
      code,
      plan: planned,
      text,
    } = await plan({
      'public.wide': wide,
      'public.standing': { key: ['nr'] },
      'public.lines': { target: 'locked.lines' },
      'public.a': { target: 'x' },
      'public.b': { target: 'public.x' },
      'public.c': { target: 'z'.repeat(70) },
      'public.d': { target: 'nebula_checkpoints' },
      'public.e': { target: 'looks' },
      'public.secrets': {},
      'public.oders': {},
    })
    expect(code).toBe(2)
    const problems = planned.problems.map(({ code: name, stream, column, text: what }) => {
      return [name, stream ?? '', column ?? '', what].join(' | ')
    })
    expect(problems).toEqual([
      'permission_denied |  |  | The user may not read public.secrets.',
      'stream_not_found |  |  | No stream "public.oders" at the source; did you mean public.d?',
      'target_collision |  |  | public.a and public.b would be written to public.x.',
      `target_incompatible | public.c |  | The target ${'z'.repeat(70)} is 70 bytes long; PostgreSQL keeps 63 of a name.`,
      'target_incompatible | public.d |  | The target public.nebula_checkpoints has a name that Nebula keeps for itself.',
      'target_incompatible | public.e |  | The target public.looks is no table, but a view, a foreign table or the like.',
      'permission_denied | public.lines |  | The user lacks USAGE on schema locked.',
      'permission_denied | public.lines |  | The user lacks CREATE on schema locked.',
      'permission_denied | public.standing |  | The user lacks TRUNCATE on public.standing.',
      'column_not_found | public.standing |  | key names a column "nr" that the stream does not have; did you mean id?',
      'target_not_ours | public.standing |  | public.standing holds rows that Nebula did not write.',
      'target_incompatible | public.standing | id | column id: integer does not fit into smallint; write cast: { id: int16 }, or change the target',
      'target_incompatible | public.standing | note | column note: the target has no such column',
      'target_incompatible | public.standing | needed | the target needs a value in needed, which the stream does not have',
      'loss_refused | public.standing | document | column document: jsonb keeps neither spaces nor repeated keys',
      'column_not_found | public.wide |  | exclude names a column "colum 7" that the stream does not have; did you mean column 7?',
      'column_not_found | public.wide |  | allow_loss names a column "MixedCas" that the stream does not have; did you mean MixedCase?',
      'column_not_found | public.wide |  | rename names a column "no such" that the stream does not have; it has ' +
        COLUMNS.slice(0, 20).join(', '),
      'config_invalid | public.wide |  | two columns would be called "twice" at the destination',
      `target_incompatible | public.wide | ${'y'.repeat(62)}é | column ${'y'.repeat(62)}é: its name is 64 bytes long; PostgreSQL keeps 63 of a name`,
      'target_incompatible | public.wide | ctid | column ctid: its name is reserved; PostgreSQL has a column of its own under it',
    ])
    expect(planned.problems.every(({ fix }) => fix.length > 0)).toBe(true)
    for (const { text: what } of planned.problems) expect(text).toContain(oneLine(what))
    expect(planned.run).toBe('unknown')
    expect(planned.streams.find(({ stream }) => stream === 'public.wide')?.source.columns).toHaveLength(200)
    expect([await scene.contents(0), await scene.contents(1)]).toEqual(before)
    expect(await readdir(folder())).toEqual(['shop.yaml'])
  })

  test('shows a loss that the pipeline accepts by name, and refuses it otherwise', async () => {
    await scene.query(1, 'CREATE TABLE kept (id integer, document jsonb); ALTER TABLE kept OWNER TO USER')
    const stream = { target: 'kept', columns: ['id', 'document'], mode: 'append' }
    const refused = await plan({ 'public.standing': stream })
    expect([refused.code, refused.plan.problems.map(({ code, column }) => [code, column])]).toEqual([
      2,
      [['loss_refused', 'document']],
    ])
    const { code, plan: planned, text } = await plan({ 'public.standing': { ...stream, allow_loss: ['document'] } })
    expect([code, planned.problems]).toEqual([0, []])
    expect(planned.streams[0]?.columns.map(({ name, fidelity, why }) => [name, fidelity, why])).toEqual([
      ['id', 'exact', undefined],
      ['document', 'lossy', 'jsonb keeps neither spaces nor repeated keys'],
    ])
    expect(text).toContain('lossy: jsonb keeps neither spaces nor repeated keys')
  })

  test('missing privileges alone are exit code 3', async () => {
    await scene.query(1, 'REVOKE CREATE ON SCHEMA public FROM USER')
    const { code, plan: planned } = await plan({ 'public.a': {}, 'public.secrets': {} })
    expect(code).toBe(3)
    expect(planned.problems.map(({ code: name, text }) => [name, text])).toEqual([
      ['permission_denied', 'The user may not read public.secrets.'],
      ['permission_denied', 'The user lacks CREATE on schema public.'],
    ])
    expect(planned.denied).toEqual([])
  })

  test('what may not be read and is not named is left out, and told', async () => {
    const { code, plan: planned } = await plan({ 'public.sec*': { target: 'x' } })
    expect([code, planned.problems.map(({ text: what }) => what)]).toEqual([
      3,
      ['The user may not read public.secrets.'],
    ])
    const other = await plan({ '*': {}, 'public.standing': false })
    expect([other.code, other.plan.denied]).toEqual([0, ['public.secrets']])
    expect(other.text).toContain('not readable, so left out: public.secrets')
  })

  test('what a run would do is said, and the run then does it: 200 columns of hostile names', async () => {
    await scene.query(
      0,
      `INSERT INTO wide SELECT ${COLUMNS.map((_, i) => `i + ${i}`).join(', ')} FROM generate_series(1, 10) i; ANALYZE wide`,
    )
    const before = await scene.contents(1)
    const { code, plan: planned, text } = await plan({ 'public.wide': { target: 'copy', rename: { 'a.b': 'A"B' } } })
    expect([code, planned.problems]).toEqual([0, []])
    expect(planned).toMatchObject({ source: 'postgres', destination: 'postgres', run: 'new', estimate: { rows: 10 } })
    const [stream] = planned.streams
    expect(stream).toMatchObject({
      stream: 'public.wide',
      target: 'copy',
      mode: 'overwrite',
      guarantee: 'exactly_once',
      wire: 'postgres/copy-binary',
      partitions: 1,
      rows: 10,
    })
    expect(stream?.standing).toBeUndefined()
    expect(stream?.columns).toHaveLength(200)
    expect(stream?.columns[1]).toEqual({
      name: 'A"B',
      source: 'a.b',
      from: 'integer',
      read: 'int32',
      written: 'int32',
      steps: [],
      type: 'integer',
      fidelity: 'exact',
    })
    expect(stream?.ddl.join()).toContain('"A""B" integer')
    expect(text).toContain('a new run')
    expect(await scene.contents(1)).toEqual(before)
    expect(await readdir(folder())).toEqual(['shop.yaml'])
    const ran = await nebula('run', join(folder(), 'shop.yaml'), '--quiet')
    expect([ran.code, ran.stderr]).toEqual([0, ''])
    const [row] = (await scene.query(1, 'SELECT * FROM copy ORDER BY 1 LIMIT 1')) as Record<string, number>[]
    expect(Object.keys(row ?? {})).toEqual(COLUMNS.map((name) => (name === 'a.b' ? 'A"B' : name)))
    expect(Object.values(row ?? {})).toEqual(COLUMNS.map((_, i) => i + 1))
  })

  test('knows an interrupted run that it would go on with, and the speed of the last', async () => {
    const target = { target: 'copied' }
    expect((await plan({ 'public.a': target })).plan.estimate.speed).toBe('assumed')
    await scene.query(0, 'INSERT INTO a SELECT generate_series(1, 1000); ANALYZE a')
    const file = join(folder(), 'shop.yaml')
    expect((await nebula('run', file, '--quiet')).code).toBe(0)
    const again = await plan({ 'public.a': target })
    expect(again.plan).toMatchObject({ run: 'new', estimate: { speed: 'last run', rows: 1000 } })
    expect(again.plan.streams[0]?.standing?.columns).toEqual([{ name: 'id', type: 'integer', nullable: true }])
    // As a process that was killed before its report was shown leaves it.
    await scene.query(
      1,
      `UPDATE nebula_checkpoints SET content = jsonb_set(content::jsonb, '{ended}', 'false')::json WHERE part = ''`,
    )
    const { plan: planned } = await plan({ 'public.a': target })
    expect(planned.run).toBe('resume')
    expect(planned.streams[0]?.finished).toBe(true)
  })
})
