import { existsSync, readFileSync } from 'node:fs'
import type { JsonSchema } from '@nebula/core'
import { BaseConfig, jsonSchemaOf } from '@nebula/core'
import { describe, expect, test } from 'vitest'

/** The test that shows the effect of each key, in `packages/`. */
const EFFECTS: { readonly [key: string]: string } = {
  'advanced.compression.algorithm': 'files/test/destination-compressed.test.ts',
  'advanced.compression.level': 'files/test/destination-compressed.test.ts',
  'advanced.debug': 'base/test/context.test.ts',
  'advanced.partition_bytes': 'runtime/test/prepare-run.test.ts',
  'advanced.schema_evolution': 'cli/test/stop.it.test.ts',
  'advanced.storage_mode': 'base/test/destination.test.ts',
  'memory.buffer_pool_bytes': 'base/test/context.test.ts',
  'memory.max_memory': 'runtime/test/limits.test.ts',
  'memory.record_pool_size': 'base/test/source.test.ts',
  'observability.log_level': 'cli/test/run-command.test.ts',
  'observability.metrics': 'runtime/test/observer.test.ts',
  'observability.metrics_interval': 'runtime/test/observer.test.ts',
  'observability.tracing': 'runtime/test/observer.test.ts',
  'performance.batch_bytes': 'runtime/test/limits.test.ts',
  'performance.batch_size': 'runtime/test/run.test.ts',
  'performance.buffer_bytes': 'runtime/test/resilience.test.ts',
  'performance.checkpoint_interval': 'runtime/test/resilience.test.ts',
  'performance.flush_interval': 'runtime/test/resilience.test.ts',
  'performance.limit': 'runtime/test/resilience.test.ts',
  'performance.max_concurrency': 'connector-postgres/test/connection.it.test.ts',
  'performance.workers': 'runtime/test/resilience.test.ts',
  'reliability.circuit_breaker.enabled': 'base/test/context.test.ts',
  'reliability.circuit_breaker.half_open_requests': 'base/test/circuit-breaker.test.ts',
  'reliability.circuit_breaker.threshold': 'base/test/circuit-breaker.test.ts',
  'reliability.circuit_breaker.timeout': 'base/test/circuit-breaker.test.ts',
  'reliability.fail_fast': 'runtime/test/resilience.test.ts',
  'reliability.health_check.enabled': 'runtime/test/resilience.test.ts',
  'reliability.health_check.interval': 'runtime/test/resilience.test.ts',
  'reliability.health_check.timeout': 'base/test/health.test.ts',
  'reliability.max_errors': 'runtime/test/rejected-rows.test.ts',
  'reliability.max_retries': 'base/test/retry.test.ts',
  'reliability.max_retry_delay': 'base/test/retry.test.ts',
  'reliability.rate_limit.burst': 'base/test/rate-limiter.test.ts',
  'reliability.rate_limit.bytes_per_sec': 'base/test/rate-limiter.test.ts',
  'reliability.rate_limit.records_per_sec': 'base/test/rate-limiter.test.ts',
  'reliability.retry_delay': 'base/test/retry.test.ts',
  'reliability.retry_multiplier': 'base/test/retry.test.ts',
  'security.ssh.fingerprint': 'base/test/ssh-host-key.test.ts',
  'security.ssh.host': 'base/test/ssh-tunnel.test.ts',
  'security.ssh.key': 'base/test/ssh-login.test.ts',
  'security.ssh.known_hosts': 'base/test/ssh-host-key.test.ts',
  'security.ssh.passphrase': 'base/test/ssh-login.test.ts',
  'security.ssh.password': 'base/test/ssh-login.test.ts',
  'security.ssh.port': 'base/test/ssh-tunnel.test.ts',
  'security.ssh.username': 'base/test/ssh-login.test.ts',
  'security.tls.ca': 'connector-postgres/test/tls.it.test.ts',
  'security.tls.cert': 'connector-postgres/test/tls.it.test.ts',
  'security.tls.key': 'connector-postgres/test/tls.it.test.ts',
  'security.tls.mode': 'connector-postgres/test/tls.it.test.ts',
  'security.tls.server_name': 'connector-postgres/test/tls.it.test.ts',
  'timeouts.connection': 'connector-postgres/test/connection.it.test.ts',
  'timeouts.idle': 'connector-postgres/test/resilience.it.test.ts',
  'timeouts.keep_alive': 'connector-postgres/test/resilience.it.test.ts',
  'timeouts.max_lifetime': 'connector-postgres/test/resilience.it.test.ts',
  'timeouts.query_timeout': 'connector-postgres/test/resilience.it.test.ts',
  'timeouts.read': 'base/test/watched-ends.test.ts',
  'timeouts.request': 'base/test/context.test.ts',
  'timeouts.write': 'base/test/watched-ends.test.ts',
}

function leaves({ properties = {} }: JsonSchema, prefix = ''): string[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const section = [schema, ...(schema.anyOf ?? [])].find(({ properties: inner }) => inner !== undefined)
    return section ? leaves(section, `${prefix}${key}.`) : [`${prefix}${key}`]
  })
}
const aliases = ['reliability.retry_attempts']
const keys = leaves(jsonSchemaOf(BaseConfig)).filter((key) => key !== 'name' && !aliases.includes(key))

test('every key has a test that shows its effect', () => {
  expect(Object.keys(EFFECTS).toSorted()).toEqual(keys.toSorted())
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
