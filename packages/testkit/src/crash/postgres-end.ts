import assert from 'node:assert/strict'
import { query } from '../query.ts'
import type { TextRow } from './compare-rows.ts'
import { eventually } from './eventually.ts'
import type { SceneEnd, ScenePlace } from './scene-end.ts'
import { TABLE } from './scene-end.ts'

/** The schema public of a database. */
export class PostgresEnd implements SceneEnd {
  readonly stream = `public.${TABLE}`
  readonly keys: object
  readonly #place: ScenePlace

  constructor(place: ScenePlace) {
    this.keys = { connector: 'postgres', url: `\${${place.role.toUpperCase()}_URL}` }
    this.#place = place
  }

  async clear(): Promise<void> {
    await query(this.#place.url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  }

  async put(rows: readonly TextRow[]): Promise<void> {
    const { url, shape, keyed } = this.#place
    const { names, types } = shape
    const key = keyed ? [`PRIMARY KEY (${names[0]})`] : []
    await query(url, `CREATE TABLE ${TABLE} (${[...names.map((name, i) => `${name} ${types[i]}`), ...key].join(', ')})`)
    const columns = names.map((_, i) => rows.map((row) => row[i]))
    const arrays = types.map((type, i) => `$${i + 1}::${type}[]`)
    await query(url, `INSERT INTO ${TABLE} SELECT * FROM unnest(${arrays.join(', ')})`, columns)
    await query(url, `ANALYZE ${TABLE}`)
  }

  async rows(): Promise<TextRow[]> {
    const { url, shape } = this.#place
    const there = await query(url, `SELECT to_regclass('${this.stream}') AS name`)
    if (there[0]?.['name'] === null) return []
    const texts = shape.names.map((name, i) => `${textOf(name, shape.types[i] ?? '')} AS ${name}`)
    const rows = await query(url, `SELECT ${texts.join(', ')} FROM ${this.stream}`)
    return rows.map((row) => shape.names.map((name) => row[name] as string | null))
  }

  async expectNothingLeft(): Promise<void> {
    const { url, role } = this.#place
    await noSessions(url)
    const ours = `SELECT relname FROM pg_class WHERE relname LIKE 'nebula%' AND relkind = 'r'`
    assert.deepEqual(await query(url, ours), role === 'source' ? [] : [{ relname: 'nebula_checkpoints' }])
  }
}

/** In whatever zone the server thinks that it is. */
function textOf(name: string, type: string): string {
  return type === 'timestamptz' ? `(${name} AT TIME ZONE 'UTC')::text || '+00'` : `${name}::text`
}

/** Resolves when no client is connected to the database of a URL: a server may need a while to notice. */
async function noSessions(url: string): Promise<void> {
  const sessions = `SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database()
    AND pid <> pg_backend_pid() AND backend_type = 'client backend'`
  await eventually(async () => {
    const open = await query(url, sessions)
    return open.length === 0 ? undefined : open
  })
}
