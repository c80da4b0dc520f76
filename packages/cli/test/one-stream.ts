import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '@nebula/runtime'
import { createDatabase, query } from '@nebula/testkit'
import { beforeAll, beforeEach, inject } from 'vitest'
import { nebula } from './harness.ts'

/** Two databases of PostgreSQL, empty for every test, and the ends of a pipeline that names them by variables. */
export interface PostgresEnds {
  readonly urls: { readonly source: string; readonly target: string }
  readonly SOURCE: object
  readonly TARGET: object
}

/** `name` begins the names of the variables. */
export function usePostgresEnds(name: string): PostgresEnds {
  const urls = { source: '', target: '' }
  const end = (which: string): object => ({ connector: 'postgres', url: `\${${name}_${which.toUpperCase()}}` })
  beforeAll(async () => {
    for (const which of ['source', 'target'] as const) {
      urls[which] = await createDatabase({ url: inject('postgres')['18'] })
      process.env[`${name}_${which.toUpperCase()}`] = urls[which]
    }
  })
  beforeEach(async () => {
    for (const url of Object.values(urls)) await query(url, 'DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  })
  return { urls, SOURCE: end('source'), TARGET: end('target') }
}

/** Writes a pipeline file into a folder; returns where it is. */
export async function writePipeline(folder: string, pipeline: object): Promise<string> {
  const file = join(folder, 'shop.json')
  await writeFile(file, JSON.stringify(pipeline))
  return file
}

/** How a run of one stream ended. */
export interface Outcome {
  readonly code: number
  readonly stream: Report['streams'][number] | undefined
  readonly error: { readonly code: string; readonly message: string } | undefined
}

/** Runs a pipeline file. */
export async function runFile(file: string): Promise<Outcome> {
  const { code, stdout } = await nebula('run', file, '--json')
  const report = JSON.parse(stdout) as Partial<Report> & { readonly error?: Outcome['error'] }
  const stream = report.streams?.[0]
  return { code, stream, error: report.error ?? stream?.error }
}
