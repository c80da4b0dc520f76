import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import type { Client } from 'pg'

/** Sixteen columns like TPC-H's lineitem: two keys, two small integers, four decimals, three dates, five texts. */
export const LINEITEM_COLUMNS = `
  l_orderkey bigint, l_partkey bigint, l_suppkey integer, l_linenumber integer,
  l_quantity numeric(15,2), l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2),
  l_returnflag char(1), l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date,
  l_shipinstruct varchar(25), l_shipmode varchar(10), l_comment varchar(44)`

/** Column types as a pipeline file declares them. */
export const LINEITEM_TYPES: Readonly<Record<string, string>> = {
  l_orderkey: 'int64',
  l_partkey: 'int64',
  l_suppkey: 'int32',
  l_linenumber: 'int32',
  l_quantity: 'decimal(15,2)',
  l_extendedprice: 'decimal(15,2)',
  l_discount: 'decimal(15,2)',
  l_tax: 'decimal(15,2)',
  l_returnflag: 'text',
  l_linestatus: 'text',
  l_shipdate: 'date',
  l_commitdate: 'date',
  l_receiptdate: 'date',
  l_shipinstruct: 'text',
  l_shipmode: 'text',
  l_comment: 'text',
}

/** Fills `lineitem` in the database itself; the same rows every time. */
export async function createLineitem(client: Client, rows: number): Promise<void> {
  await client.query(`CREATE TABLE lineitem (${LINEITEM_COLUMNS})`)
  await client.query(
    `INSERT INTO lineitem
     SELECT i / 4 + 1, (i * 7919::bigint) % 200000 + 1, (i * 104729::bigint) % 10000 + 1, i % 7 + 1,
       (i * 31::bigint) % 50 + 1, ((i * 7907::bigint) % 9000000 + 90000) / 100.0, (i % 11) / 100.0, (i % 9) / 100.0,
       (ARRAY['A','N','R'])[i % 3 + 1], (ARRAY['O','F'])[i % 2 + 1],
       date '1992-01-01' + (i % 2526)::int, date '1992-01-31' + (i % 2466)::int, date '1992-01-02' + (i % 2555)::int,
       (ARRAY['DELIVER IN PERSON','COLLECT COD','NONE','TAKE BACK RETURN'])[i % 4 + 1],
       (ARRAY['REG AIR','AIR','RAIL','SHIP','TRUCK','MAIL','FOB'])[i % 7 + 1],
       'carefully final deposits ' || (i * 2654435761) % 1000000007
     FROM generate_series(0, $1::bigint - 1) AS i`,
    [rows],
  )
  await client.query('VACUUM ANALYZE lineitem')
}

export interface Checksum {
  readonly rows: string
  readonly sum: string
}

/** Equal for equal rows in any order. */
export async function tableChecksum(client: Client, table: string, columns = '*'): Promise<Checksum> {
  const { rows } = await client.query<Checksum>(
    `SELECT count(*)::text AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text AS sum FROM (SELECT ${columns} FROM ${table}) t`,
  )
  return rows[0] ?? { rows: '0', sum: '0' }
}

export async function fileChecksum(path: string): Promise<string> {
  const digest = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), digest)
  return digest.digest('hex')
}

/** Seven typed columns, 80 bytes a row, in canonical text, so that the output must be the input. */
export async function createTypedCsv(path: string, rows: number): Promise<void> {
  function* lines(): Iterable<string> {
    let block = 'id,customer,amount,ordered,shipped,paid,note\n'
    for (let i = 0; i < rows; i++) {
      const day = String((i % 28) + 1).padStart(2, '0')
      const cents = String((i * 37) % 100).padStart(2, '0')
      const hour = String(i % 24).padStart(2, '0')
      block +=
        `${1_000_000_000 + i},${(i * 7919) % 100_000},${(i * 31) % 90_000}.${cents},2024-05-${day},` +
        `2024-06-${day} ${hour}:30:15,${i % 3 === 0},order note ${100_000 + (i % 900_000)}\n`
      if (block.length > 1 << 18) {
        yield block
        block = ''
      }
    }
    yield block
  }
  await pipeline(lines(), createWriteStream(path))
}

export const TYPED_CSV_TYPES: Readonly<Record<string, string>> = {
  id: 'int64',
  customer: 'int32',
  amount: 'decimal(12,2)',
  ordered: 'date',
  shipped: 'timestamp',
  paid: 'bool',
  note: 'text',
}
