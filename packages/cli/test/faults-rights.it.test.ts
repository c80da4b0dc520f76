import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FaultyRoute, FaultyScene, Login, PostgresServer, SceneRun } from '@nebula/testkit'
import { NO_RETRY, postgres, query, RETRIES } from '@nebula/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { createFaultyScene } from './nebula.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await postgres({ flags: ['-c', 'log_connections=off'] })
})
afterAll(() => server.stop())

const closing: AsyncDisposable[] = []
afterEach(async () => {
  for (const item of closing.splice(0).toReversed()) await item[Symbol.asyncDispose]()
})

async function create(route: FaultyRoute): Promise<FaultyScene> {
  const faulty = await createFaultyScene(route, server.url, inject('postgres')['18'])
  closing.push(faulty)
  return faulty
}

let users = 0

/** A user of the server who may do what `options` say, and log in. */
async function user(options = ''): Promise<Login> {
  const login = { username: `user_${users++}`, password: 'the first secret' }
  await query(server.url, `CREATE ROLE ${login.username} LOGIN PASSWORD '${login.password}' ${options}`)
  return login
}

/** How often the server refused a password. */
function refusals(): number {
  return readFileSync(server.logFile ?? '', 'utf8').split('password authentication failed').length - 1
}

function expectCode({ code, failure }: SceneRun, expected: string): void {
  expect({ code, failure: failure?.code }).toEqual({ code: 3, failure: expected })
}

const ENDS: readonly FaultyRoute[] = [
  { from: 'postgres', to: 'csv', mode: 'overwrite', faulty: 'source' },
  { from: 'csv', to: 'postgres', mode: 'overwrite', faulty: 'destination' },
]

describe.each(ENDS)('$from -> $to: the password of the $faulty', (route) => {
  test('is wrong: it is tried once, and no word of it is printed', async () => {
    const faulty = await create(route)
    const { username } = await user('SUPERUSER')
    const password = 'a wrong secret'
    const before = refusals()
    const outcome = await faulty.run(RETRIES, { username, password })
    expectCode(outcome, 'authentication_failed')
    expect(outcome.failure?.message).toContain(username)
    expect(outcome.failure?.fix).toContain('they are not tried again by themselves')
    expect(refusals() - before).toBe(1)
    expect(JSON.stringify(outcome)).not.toContain(password)
    expect(outcome.report?.streams).toBeUndefined()
  })

  test('is changed in the middle: open connections stay, and new ones are not tried twice', async () => {
    const faulty = await create(route)
    const login = await user('SUPERUSER')
    const password = 'the second secret'
    const before = refusals()
    const outcome = await faulty.runUntil(
      RETRIES,
      async (connection) => {
        await query(server.url, `ALTER ROLE ${login.username} PASSWORD '${password}'`)
        connection.cut('reset')
      },
      login,
    )
    expectCode(outcome, 'authentication_failed')
    expect(refusals() - before).toBe(1)
    const { report } = await faulty.rerun({ ...login, password })
    expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
  })
})

describe.each(ENDS)('$from -> $to: the privileges at the $faulty', (route) => {
  const grant =
    route.faulty === 'source'
      ? 'GRANT USAGE ON SCHEMA public TO $user; GRANT SELECT ON orders TO $user'
      : 'GRANT ALL ON SCHEMA public TO $user'
  const revoke =
    route.faulty === 'source' ? 'REVOKE SELECT ON orders FROM $user' : 'REVOKE CREATE ON SCHEMA public FROM $user'

  test('are missing: nothing is written', async () => {
    const faulty = await create(route)
    const login = await user()
    const outcome = await faulty.run(RETRIES, login)
    expectCode(outcome, 'permission_denied')
    expect(outcome.failure?.message).toMatch(/orders|schema public/)
    const tables = `SELECT relname FROM pg_class WHERE relname ~ 'orders|nebula'`
    const { folder, target } = faulty.scene
    expect(route.to === 'csv' ? await readdir(join(folder, 'out')) : await query(target, tables)).toEqual([])
    await query(faulty.database, grant.replaceAll('$user', login.username))
    await faulty.rerun(login)
  })

  test('are revoked in the middle: once they are granted again, the same command goes on', async () => {
    const faulty = await create(route)
    const login = await user()
    const allow = (): Promise<unknown> => query(faulty.database, grant.replaceAll('$user', login.username))
    await allow()
    const outcome = await faulty.runUntil(
      RETRIES,
      async () => {
        await query(faulty.database, revoke.replaceAll('$user', login.username))
      },
      login,
    )
    expectCode(outcome, 'permission_denied')
    expect(outcome.failure?.message).toMatch(/orders|schema public/)
    await allow()
    const { report } = await faulty.rerun(login)
    expect(report?.streams[0]?.resumed).toBeGreaterThan(0)
  })
})

describe('a table of the source', () => {
  const route: FaultyRoute = { from: 'postgres', to: 'csv', mode: 'overwrite', faulty: 'source' }

  test('that somebody drops in the middle is dropped when the run is over', async () => {
    const faulty = await create(route)
    let dropping: Promise<unknown> | undefined
    const outcome = await faulty.runUntil(NO_RETRY, () => {
      dropping = query(faulty.database, 'DROP TABLE orders')
    })
    faulty.scene.expectDone(outcome)
    expect(await dropping).toEqual([])
    await faulty.scene.expectSame()
    await faulty.scene.expectNothingLeft()
  })

  test('that is gone when an interrupted run is to go on', async () => {
    const faulty = await create(route)
    await faulty.runUntil(NO_RETRY, (connection) => connection.cut('reset'))
    await query(faulty.database, 'DROP TABLE orders')
    const { code, failure } = await faulty.run(NO_RETRY)
    expect({ code, failure }).toEqual({ code: 2, failure: expect.objectContaining({ code: 'stream_not_found' }) })
    expect(failure?.message).toContain('public.orders')
  })
})

describe('a table of the destination', () => {
  const route: FaultyRoute = { from: 'csv', to: 'postgres', mode: 'append', faulty: 'destination' }
  const dropStaging = `DO $$ DECLARE name text; BEGIN
    SELECT relname INTO STRICT name FROM pg_class WHERE relname LIKE 'nebula_stage%' AND relkind = 'r';
    EXECUTE format('DROP TABLE %I', name); END $$`

  test.each(['overwrite', 'append'] as const)('the target is dropped in the middle, %s', async (mode) => {
    const faulty = await create({ ...route, mode: 'append' })
    const settings = faulty.settings({})
    const middle = faulty.rows.after(700_000, () => query(faulty.database, 'DROP TABLE orders'))
    const streams = { orders: { mode, target: 'public.orders', types: { id: 'int64', note: 'text' } } }
    const outcome = await faulty.scene.run({ ...settings, pipeline: { streams } })
    await middle
    faulty.scene.expectDone(outcome)
    expect(await query(faulty.database, 'SELECT count(*)::int AS rows FROM orders')).toEqual([{ rows: 12_000 }])
    await faulty.scene.expectNothingLeft()
  })

  test('staging is dropped in the middle: what was in it is read again', async () => {
    const faulty = await create(route)
    let dropping: Promise<unknown> | undefined
    const outcome = await faulty.runUntil(NO_RETRY, () => {
      dropping = query(faulty.database, dropStaging)
    })
    await dropping
    expectCode(outcome, 'query_failed')
    expect(outcome.failure?.message).toMatch(/nebula_stage_\w+" does not exist/)
    await faulty.rerun()
  })

  test('staging is dropped after the run was cut: what was in it is read again', async () => {
    const faulty = await create(route)
    await faulty.runUntil(NO_RETRY, (connection) => connection.cut('reset'))
    await query(faulty.database, dropStaging)
    expect((await faulty.rerun()).code).toBe(0)
  })

  test('the checkpoints are dropped in the middle: the run begins again', async () => {
    const faulty = await create(route)
    const outcome = await faulty.runUntil(NO_RETRY, async () => {
      await query(faulty.database, 'DROP TABLE nebula_checkpoints')
    })
    expectCode(outcome, 'query_failed')
    expect(outcome.failure?.message).toContain('nebula_checkpoints" does not exist')
    faulty.scene.expectDone(await faulty.scene.runHere(faulty.settings(NO_RETRY)))
    await faulty.scene.expectSame()
  })
})
