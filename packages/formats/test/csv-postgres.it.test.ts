import { createDatabase } from '@nebula/testkit'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { batchOf, written } from './csv-files.ts'

/** Collects what COPY TO STDOUT sends. */
class CopyOut implements pg.Submittable {
  readonly #text: string
  readonly #chunks: Buffer[] = []
  readonly bytes: Promise<Buffer>
  #settle: { resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | undefined

  constructor(text: string) {
    this.#text = text
    this.bytes = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
  }

  submit(connection: pg.Connection): void {
    connection.query(this.#text)
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    this.#chunks.push(Buffer.from(chunk))
  }

  handleCommandComplete(): void {}

  handleReadyForQuery(): void {
    this.#settle?.resolve(Buffer.concat(this.#chunks))
  }

  handleError(error: Error): void {
    this.#settle?.reject(error)
  }
}

describe.each(['14', '18'] as const)('PostgreSQL %s', (version) => {
  let client: pg.Client

  beforeAll(async () => {
    client = new pg.Client({ connectionString: await createDatabase({ url: inject('postgres')[version] }) })
    await client.connect()
    await client.query(`SET TIME ZONE 'UTC'; SET intervalstyle = iso_8601`)
  })

  afterAll(() => client.end())

  /** The bytes of COPY TO for columns that are given as texts. */
  async function copied(
    columns: readonly (readonly [type: string, texts: readonly (string | null)[]])[],
  ): Promise<string> {
    const names = columns.map((_, i) => `c${i}`)
    await client.query(`CREATE TEMP TABLE t (${columns.map(([type], i) => `c${i} ${type}`).join(', ')}, n serial)`)
    try {
      const arrays = columns.map(([type], i) => `$${i + 1}::text[]::${type}[]`)
      await client.query(
        `INSERT INTO t (${names.join(', ')}) SELECT ${names.join(', ')} FROM unnest(${arrays.join(', ')}) WITH ORDINALITY u(${names.join(', ')}, n) ORDER BY n`,
        columns.map(([, texts]) => texts),
      )
      const copy = new CopyOut(`COPY (SELECT ${names.join(', ')} FROM t ORDER BY n) TO STDOUT (FORMAT csv, HEADER)`)
      client.query(copy)
      return (await copy.bytes).toString('utf8')
    } finally {
      await client.query('DROP TABLE t')
    }
  }

  test('writes the same bytes for any texts', async () => {
    const unit = fc.constantFrom('a', '"', ',', '\n', '\r', ' ', '\\', '.', '#', ';', '\uFEFF', 'é', '😀', 'N')
    const value = fc.option(fc.oneof(fc.string({ unit, maxLength: 6 }), fc.constantFrom('\\.', 'NULL', '\\N', '')), {
      nil: null,
    })
    const table = fc
      .integer({ min: 1, max: 3 })
      .chain((width) =>
        fc.array(fc.array(value, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 20 }),
      )
    await fc.assert(
      fc.asyncProperty(table, async (rows) => {
        const columns = (rows[0] ?? []).map((_, c) => rows.map((row) => row[c] ?? null))
        const batch = batchOf(Object.fromEntries(columns.map((texts, c) => [`c${c}`, ['utf8', texts]])))
        expect(written(batch)).toBe(await copied(columns.map((texts) => ['text', texts])))
      }),
      { numRuns: 200 },
    )
  })

  test('writes the same bytes for values of other types', async () => {
    const types: { [type: string]: [ours: string, texts: (string | null)[]] } = {
      int8: ['int64', ['-9223372036854775808', '0', null]],
      float8: ['float64', ['0.1', '1e+300', 'NaN']],
      'numeric(10,2)': ['decimal(10,2)', ['-1.50', '12345678.90', null]],
      numeric: ['numeric', ['123456789012345678901234567890.1230', 'NaN', '0']],
      date: ['date', ['2024-02-29', 'infinity', '0044-03-15 BC']],
      time: ['time', ['23:59:59.5', '00:00:00', null]],
      timestamp: ['timestamp', ['2024-02-29 12:34:56.789', '-infinity', null]],
      timestamptz: ['timestamptz', ['2024-02-29 12:34:56+00', null, 'infinity']],
      interval: ['interval', ['P1Y2M-3DT4H5M6.7S', 'PT0S', null]],
      uuid: ['uuid', ['123e4567-e89b-12d3-a456-426614174000', null, null]],
      bytea: ['binary', ['\\xdeadbeef', '\\x', null]],
      jsonb: ['json', ['{"a": [1, "x,y"]}', 'null', '[]']],
    }
    const batch = batchOf(Object.fromEntries(Object.values(types).map((column, i) => [`c${i}`, column])))
    expect(written(batch)).toBe(await copied(Object.entries(types).map(([type, [, texts]]) => [type, texts])))
  })
})
