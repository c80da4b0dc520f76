import fc from 'fast-check'
import pg from 'pg'
import { describe, expect, inject, test } from 'vitest'
import { typeName } from '../src/index.ts'
import type { Interval, LogicalType, Value } from '../src/index.ts'
import { columnOf, format } from './columns.ts'
import { TEXT_TYPES } from '@nebula/testkit/arbitraries'

/** The PostgreSQL type of a logical type; none for those that it does not have. */
function postgresType(type: LogicalType): string | undefined {
  switch (type.kind) {
    case 'decimal':
      return `numeric(${type.precision},${type.scale})`
    case 'timestamp':
      return type.zone ? 'timestamptz' : 'timestamp'
    default:
      return POSTGRES[type.kind]
  }
}

const POSTGRES: { readonly [kind: string]: string | undefined } = {
  int16: 'int2',
  int32: 'int4',
  int64: 'int8',
  float32: 'float4',
  float64: 'float8',
  date: 'date',
  time: 'time',
  interval: 'interval',
  uuid: 'uuid',
  binary: 'bytea',
}

const SETTINGS = [
  'SET DateStyle = ISO',
  "SET TimeZone = 'UTC'",
  'SET IntervalStyle = iso_8601',
  'SET bytea_output = hex',
  'SET extra_float_digits = 1',
]

/** PostgreSQL 17 is the first with infinite intervals, 15 the first that reads more than 2^31 hours. */
function isKnownTo(version: '14' | '18', value: Value): boolean {
  if (version === '18' || typeof value !== 'object' || value === null || !('micros' in value)) return true
  const { months, micros } = value as Interval
  const most = 2n ** 31n * 3_600_000_000n
  return Math.abs(months) < 0x7fffffff && micros < most && micros > -most
}

describe.each(['18', '14'] as const)('PostgreSQL %s prints what formatColumn writes', (version) => {
  const cases = TEXT_TYPES.flatMap(([type, values]) => {
    const name = postgresType(type)
    return name === undefined ? [] : [[typeName(type), name, type, values] as const]
  })

  test.each(cases)('%s', async (_, name, type, values) => {
    const seen = fc.sample(values, 4000).filter((value) => isKnownTo(version, value))
    const texts = format(columnOf(type, seen))
    const client = new pg.Client({ connectionString: inject('postgres')[version] })
    await client.connect()
    try {
      for (const setting of SETTINGS) await client.query(setting)
      const { rows } = await client.query<{ text: string }>({
        text: `SELECT value::${name}::text AS text FROM unnest($1::text[]) WITH ORDINALITY AS t(value, i) ORDER BY i`,
        values: [texts],
      })
      expect(rows.map((row) => row.text)).toEqual(texts)
    } finally {
      await client.end()
    }
  })
})
