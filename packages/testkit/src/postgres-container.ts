import { setTimeout as sleep } from 'node:timers/promises'
import { Container } from './container.ts'
import { freePort } from './free-port.ts'
import type { PostgresServer, PostgresVersion } from './postgres.ts'
import { answers } from './postgres-answers.ts'

const START_TIMEOUT_MS = 60_000
const POLL_MS = 50

/** Starts the official image of a version; testcontainers must be there. */
export async function postgresContainer(
  version: PostgresVersion,
  flags: readonly string[],
  password: string,
): Promise<PostgresServer> {
  const port = await freePort()
  const container = await Container.start({
    image: `postgres:${version}`,
    command: ['postgres', '-p', String(port), ...flags],
    environment: { POSTGRES_PASSWORD: password, POSTGRES_INITDB_ARGS: '--encoding=UTF8 --locale=C.UTF-8 --no-sync' },
    port,
  })
  const url = `postgresql://postgres:${password}@${container.host}:${port}/postgres`
  const server: PostgresServer = {
    url,
    version,
    port,
    dataDir: undefined,
    logFile: undefined,
    kill: (signal) => container.kill(signal),
    async restart() {
      await container.restart()
      await ready(url)
    },
    stop: () => container.stop(),
  }
  try {
    await ready(url)
    return server
  } catch (error) {
    await server.stop()
    throw error
  }
}

async function ready(url: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await answers(url))) {
    if (Date.now() > deadline) throw new Error('The PostgreSQL in a container did not start.')
    await sleep(POLL_MS)
  }
}
