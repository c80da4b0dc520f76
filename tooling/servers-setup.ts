import type { TestProject } from 'vitest/node'
import { startMongo } from './mongo-setup.ts'
import startPostgres from './postgres-setup.ts'

/** Starts the servers of integration tests, all at once, and stops them after the run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = await Promise.allSettled([startPostgres(project), startMongo(project)])
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(async (servers) => servers.status === 'fulfilled' && servers.value()))
  }
  const failed = started.find((servers) => servers.status === 'rejected')
  if (!failed) return stop
  await stop()
  throw failed.reason
}
