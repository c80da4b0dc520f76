import { memoryFolder, postgres } from '@nebula/testkit'
import type { TestProject } from 'vitest/node'

/** URLs of running servers, by major version. */
interface Servers {
  readonly '14': string
  readonly '18': string
}

declare module 'vitest' {
  interface ProvidedContext {
    /** Those of the worker that asks, once `own-servers.ts` ran in it. */
    postgres: Servers
    /** Those of each worker. */
    postgresOfWorkers: readonly Servers[]
  }
}

/** A vacuum that comes on its own holds back what a test vacuums and looks at, for as long as it takes. */
const QUIET = ['-c', 'autovacuum=off']

function flagsOf(version: '14' | '18'): readonly string[] {
  // With flags it would not be the server that the user gives.
  return version === '18' && process.env['POSTGRES_URL'] ? [] : QUIET
}

/**
 * Starts the servers that integration tests get by `inject('postgres')`, and stops them after the run. Each worker has
 * its own: a transaction of one file would hold back the snapshots and vacuums of another.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const workers = Array.from({ length: project.config.maxWorkers }, () => ['14', '18'] as const)
  const started = await Promise.allSettled(
    workers.flat().map((version) => postgres({ version, flags: flagsOf(version), parent: memoryFolder() })),
  )
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(async (server) => server.status === 'fulfilled' && server.value.stop()))
  }
  const urls = started.flatMap((server) => (server.status === 'fulfilled' ? [server.value.url] : []))
  const failed = started.find((server) => server.status === 'rejected')
  if (failed) {
    await stop()
    throw failed.reason
  }
  const servers = workers.map((_, i) => ({ '14': urls[2 * i] ?? '', '18': urls[2 * i + 1] ?? '' }))
  project.provide('postgresOfWorkers', servers)
  project.provide('postgres', { '14': '', '18': '' })
  return stop
}
