import { relative, sep } from 'node:path'
import { mongo, type MongoServer } from '@nebula/testkit'
import type { TestProject } from 'vitest/node'

/** Of the MongoDB of a worker; without one `kind` is `none`, and tests that need one are skipped. */
type Mongo = Pick<MongoServer, 'url' | 'replicaSet' | 'version'> & { readonly kind: MongoServer['kind'] | 'none' }

declare module 'vitest' {
  interface ProvidedContext {
    /** That of the worker that asks, once `own-servers.ts` ran in it. */
    mongo: Mongo
    /** Those of each worker. */
    mongoOfWorkers: readonly Mongo[]
  }
}

const NONE: Mongo = { kind: 'none', url: '', replicaSet: false, version: '' }

/**
 * Starts a MongoDB for each worker, where a file of the run has `mongo` in its path, and returns what stops them. Where
 * none can be had, says why: the tests are skipped then, but in CI that is a failure.
 */
export async function startMongo(project: TestProject): Promise<() => Promise<void>> {
  project.provide('mongo', NONE)
  project.provide('mongoOfWorkers', [])
  const folders = project.config.root + sep
  const files = project.vitest.state.getPaths().map((path) => relative(folders, path))
  if (!files.some((path) => path.includes('mongo'))) return async () => {}
  const workers = Array.from({ length: project.config.maxWorkers }, () => mongo())
  const started = await Promise.allSettled(workers)
  const servers = started.flatMap((server) => (server.status === 'fulfilled' ? [server.value] : []))
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()))
  }
  const failed = started.find((server) => server.status === 'rejected')
  if (failed) {
    await stop()
    if (process.env['CI'] === 'true') throw failed.reason
    process.stderr.write(`Tests that need a MongoDB are skipped. ${(failed.reason as Error).message}\n`)
    return async () => {}
  }
  const provided = servers.map(({ url, kind, replicaSet, version }) => ({ url, kind, replicaSet, version }))
  project.provide('mongoOfWorkers', provided)
  return stop
}
