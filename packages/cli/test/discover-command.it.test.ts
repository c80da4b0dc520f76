import { createDatabase } from '@nebula/testkit'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { nebula, useFolder } from './harness.ts'

useFolder()

test('nebula discover shows keys, declared types, and what the source says of a column', async () => {
  const connectionString = await createDatabase({ url: inject('postgres')['18'] })
  const client = new pg.Client({ connectionString })
  await client.connect()
  try {
    await client.query(`CREATE TABLE orders (id int PRIMARY KEY, note varchar(10));
      COMMENT ON COLUMN orders.note IS E'for people\\n only'`)
  } finally {
    await client.end()
  }
  const { code, stdout } = await nebula('discover', '--from', connectionString)
  expect(code).toBe(0)
  expect(stdout.replace(/about \d+ rows/, 'rows')).toBe(
    'public.orders (2 columns, rows, key id)\n' +
      '  id    int32  integer                not null\n' +
      '  note  utf8   character varying(10)            for people? only\n',
  )
})
