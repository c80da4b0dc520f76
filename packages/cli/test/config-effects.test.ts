import { existsSync, readFileSync } from 'node:fs'
import type { JsonSchema } from '@nebula/core'
import { BaseConfig, jsonSchemaOf } from '@nebula/core'
import { describe, expect, test } from 'vitest'

/** The test that shows the effect of each key, in `packages/`. */
const EFFECTS: { readonly [key: string]: string } = {
  'advanced.partition_bytes': 'runtime/test/prepare-run.test.ts',
  'memory.buffer_pool_bytes': 'base/test/context.test.ts',
  'performance.batch_size': 'runtime/test/run.test.ts',
  'performance.max_concurrency': 'connector-postgres/test/connection.it.test.ts',
  'security.tls.ca': 'base/test/tls.test.ts',
  'security.tls.cert': 'base/test/tls.test.ts',
  'security.tls.key': 'base/test/tls.test.ts',
  'security.tls.mode': 'connector-postgres/test/connection.it.test.ts',
  'security.tls.server_name': 'base/test/tls.test.ts',
  'timeouts.connection': 'connector-postgres/test/connection.it.test.ts',
  'timeouts.request': 'base/test/context.test.ts',
}

/** Declared, and no test names its effect. */
const WITHOUT_EFFECT: readonly string[] = [
  'advanced.compression.algorithm',
  'advanced.compression.level',
  'advanced.debug',
  'advanced.schema_evolution',
  'advanced.storage_mode',
  'memory.max_memory',
  'memory.record_pool_size',
  'observability.log_level',
  'observability.metrics',
  'observability.metrics_interval',
  'observability.tracing',
  'performance.batch_bytes',
  'performance.buffer_bytes',
  'performance.checkpoint_interval',
  'performance.flush_interval',
  'performance.limit',
  'performance.workers',
  'reliability.circuit_breaker.enabled',
  'reliability.circuit_breaker.half_open_requests',
  'reliability.circuit_breaker.threshold',
  'reliability.circuit_breaker.timeout',
  'reliability.fail_fast',
  'reliability.health_check.enabled',
  'reliability.health_check.interval',
  'reliability.health_check.timeout',
  'reliability.max_errors',
  'reliability.max_retries',
  'reliability.max_retry_delay',
  'reliability.rate_limit.burst',
  'reliability.rate_limit.bytes_per_sec',
  'reliability.rate_limit.records_per_sec',
  'reliability.retry_delay',
  'reliability.retry_multiplier',
  'timeouts.idle',
  'timeouts.keep_alive',
  'timeouts.max_lifetime',
  'timeouts.query_timeout',
  'timeouts.read',
  'timeouts.write',
]

function leaves({ properties = {} }: JsonSchema, prefix = ''): string[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const section = [schema, ...(schema.anyOf ?? [])].find(({ properties: inner }) => inner !== undefined)
    return section ? leaves(section, `${prefix}${key}.`) : [`${prefix}${key}`]
  })
}
const aliases = ['reliability.retry_attempts']
const keys = leaves(jsonSchemaOf(BaseConfig)).filter((key) => key !== 'name' && !aliases.includes(key))

test('every key has a test that shows its effect, or is known to have none', () => {
  expect(Object.keys(EFFECTS).filter((key) => WITHOUT_EFFECT.includes(key))).toEqual([])
  expect([...Object.keys(EFFECTS), ...WITHOUT_EFFECT].toSorted()).toEqual(keys.toSorted())
})

describe('the test of a key names it:', () => {
  test.each(Object.entries(EFFECTS))('%s', (key, file) => {
    const path = new URL(`../../${file}`, import.meta.url)
    expect(existsSync(path)).toBe(true)
    const name = key.split('.').at(-1) ?? ''
    const camel = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`\\b(${name}|${camel})\\b`))
  })
})
