import { readdirSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

const conditions = ['source']
const full = process.env['NEBULA_FULL'] === '1'
const fullTests = 'packages/*/test/**/*.full.test.ts'
const integration = 'packages/*/test/**/*.it.test.ts'

/** What both projects share. Sources run as they are; children and workers of a test see them too. */
const shared = {
  ssr: { resolve: { conditions, externalConditions: conditions } },
  // The environment in which vitest runs a globalSetup.
  environments: { __vitest__: { resolve: { conditions } } },
}
const test = {
  env: { NODE_OPTIONS: '--conditions=source' },
  retry: 0,
}

/** Every package needs 80 % of its lines covered. */
const thresholds = Object.fromEntries(
  readdirSync(new URL('packages/', import.meta.url)).map((name) => [`packages/${name}/src/**`, { lines: 80 }]),
)

export default defineConfig({
  test: {
    passWithNoTests: false,
    // Files share a server, and a transaction of one holds back the snapshots and vacuums of another.
    maxWorkers: 1,
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
          exclude: [integration, fullTests],
        },
      },
      {
        ...shared,
        test: {
          ...test,
          name: 'integration',
          include: full ? [integration, fullTests] : [integration],
          globalSetup: './tooling/postgres-setup.ts',
          testTimeout: full ? 600_000 : 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
