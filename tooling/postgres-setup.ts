import { postgres } from '@nebula/testkit'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** URLs of running servers, by major version. */
    postgres: { '14': string; '18': string }
  }
}

/** Starts the servers that integration tests get by `inject('postgres')`, and stops them after the run. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = await Promise.allSettled([postgres({ version: '14' }), postgres({ version: '18' })])
  const stop = async (): Promise<void> => {
    await Promise.all(started.map(async (server) => server.status === 'fulfilled' && server.value.stop()))
  }
  const [old, current] = started
  if (old.status === 'rejected' || current.status === 'rejected') {
    await stop()
    throw old.status === 'rejected' ? old.reason : (current as PromiseRejectedResult).reason
  }
  project.provide('postgres', { '14': old.value.url, '18': current.value.url })
  return stop
}
