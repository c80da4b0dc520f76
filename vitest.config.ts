import { readdirSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

const conditions = ['source']
const full = process.env['NEBULA_FULL'] === '1'
const fullTests = 'packages/*/test/**/*.full.test.ts'
const integration = 'packages/*/test/**/*.it.test.ts'
/** Unit tests of packages that keep no state: one process runs their files one after the other, which saves its start. */
const pure = 'packages/{core,base,config,transforms,formats,files,sql}/test/**/*.test.ts'

/** What all projects share. Sources run as they are; children and workers of a test see them too. */
const shared = {
  ssr: { resolve: { conditions, externalConditions: conditions } },
  // The environment in which vitest runs a globalSetup.
  environments: { __vitest__: { resolve: { conditions } } },
}
const test = {
  env: { NODE_OPTIONS: '--conditions=source' },
  setupFiles: './tooling/compile-cache.ts',
  // It only ends what hangs; a machine that does other things, too, is no failure.
  testTimeout: 60_000,
  hookTimeout: 60_000,
  retry: 0,
}

/** Every package needs 80 % of its lines covered. */
const thresholds = Object.fromEntries(
  readdirSync(new URL('packages/', import.meta.url)).map((name) => [`packages/${name}/src/**`, { lines: 80 }]),
)

export default defineConfig({
  test: {
    passWithNoTests: false,
    // Each worker has servers of its own, but for the one that the user gives.
    maxWorkers: process.env['POSTGRES_URL'] || process.env['MONGO_URL'] ? 1 : 2,
    reporters: ['default', './tooling/counts-reporter.ts'],
    coverage: {
      enabled: process.env['CI'] === 'true',
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      reporter: ['text-summary', 'json-summary', 'lcovonly'],
      thresholds,
    },
    projects: [
      {
        ...shared,
        test: {
          ...test,
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts'],
          exclude: [integration, fullTests, pure],
        },
      },
      {
        ...shared,
        test: {
          ...test,
          name: 'pure',
          isolate: false,
          include: [pure],
          exclude: [integration, fullTests],
        },
      },
      {
        ...shared,
        test: {
          ...test,
          name: 'integration',
          include: full ? [integration, fullTests] : [integration],
          globalSetup: './tooling/servers-setup.ts',
          // Batches outlive the young generation of the default size, and an old one that fills is collected in full.
          execArgv: ['--max-semi-space-size=64', '--min-semi-space-size=32'],
          setupFiles: [test.setupFiles, './tooling/own-servers.ts'],
          testTimeout: full ? 600_000 : 60_000,
        },
      },
    ],
  },
})
