import { parentPort, workerData } from 'node:worker_threads'
import type { NebulaError } from '@nebula/core'
import { BufferPool, utf8 } from '@nebula/core'
import { csvFormat } from '../src/index.ts'
import { bytesOf, readCsv } from './csv-files.ts'

/** What a thread of this module reads: a field of so many bytes, or a record without end that begins at an offset. */
export type LongRecord = { readonly size: number } | { readonly offset: number }

/** The faults and the length of each second field, of a file whose first one has `size` bytes. */
function longField(size: number): object {
  const bytes = new Uint8Array(size + 30).fill(0x78)
  bytes.set(bytesOf('a,b\n1,"'))
  bytes.set(bytesOf('"""\n2,y\n3,z\n'), size)
  const { rows, faults } = readCsv(bytes.subarray(0, size + 12))
  return { faults, rows: rows.map(([first, second]) => [first, (second as string).length]) }
}

/** The error that ends a record which never does. */
function endless(offset: number): object {
  const reader = csvFormat().reader({
    schema: { fields: [{ name: 'a', type: utf8, nullable: true }] },
    columns: [0],
    width: 1,
    offset,
    rows: 10,
    bytes: 10,
    pool: new BufferPool(2 ** 40),
  })
  reader.space().fill(0x22, 0, 1)
  try {
    for (;;) {
      reader.filled(reader.space().length)
      reader.next()
    }
  } catch (error) {
    const { code, message, fix } = error as NebulaError
    return { code, message, fix }
  }
}

const record = workerData as LongRecord
parentPort?.postMessage('size' in record ? longField(record.size) : endless(record.offset))
