import { Duplex } from 'node:stream'
import { systemClock } from '@nebula/base'
import { BufferPool } from '@nebula/core'
import fc from 'fast-check'
import type { Connection } from 'pg'
import { expect, test } from 'vitest'
import type { CopyFormat } from '../src/copy.ts'
import { CopyIn, CopyOut } from '../src/copy.ts'

function frame(type: string, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(payload.length + 4, 1)
  return Buffer.concat([head, payload])
}

const HEADER = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
const END = Buffer.concat([
  frame('c', Buffer.alloc(0)),
  frame('C', Buffer.from('COPY 1\0')),
  frame('Z', Buffer.from('I')),
])

/** One field per row. */
function tuple(value: Uint8Array): Buffer {
  const head = Buffer.alloc(6)
  head.writeInt16BE(1, 0)
  head.writeInt32BE(value.length, 2)
  return Buffer.concat([head, value])
}

/** A socket that gives the bytes in the given pieces, and pg's place as its first listener. */
class Wire {
  readonly seen: Buffer[] = []
  readonly written: Buffer[] = []
  readonly stream: Duplex
  paused = 0

  constructor(pieces: readonly Buffer[]) {
    const queue = [...pieces]
    this.stream = new Duplex({
      read() {
        const piece = queue.shift()
        setImmediate(() => {
          if (piece) this.push(piece)
        })
      },
      write: (chunk: Buffer, _encoding, done) => {
        this.written.push(Buffer.from(chunk))
        done()
      },
    })
    this.stream.on('data', (chunk: Buffer) => this.seen.push(chunk))
    this.stream.pause()
  }

  submitTo(copy: CopyOut | CopyIn): void {
    copy.submit({ stream: this.stream, query: () => this.stream.resume() } as unknown as Connection)
  }
}

function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? bytes.length
    pieces.push(bytes.subarray(at, at + size))
    at += size
  }
  return pieces
}

async function collect(
  format: CopyFormat,
  bytes: Buffer,
  sizes: readonly number[],
  limits: { rows: number; bytes: number },
) {
  const pool = new BufferPool(1e9)
  const { signal } = new AbortController()
  const all = { ...limits, delayMs: 10_000 }
  const copy = new CopyOut({ sql: '', format, columns: 1, limits: all, pool, signal, clock: systemClock })
  const wire = new Wire(cut(bytes, sizes))
  wire.submitTo(copy)
  const rows: Buffer[] = []
  const batches: number[] = []
  const listening = setInterval(() => {
    if (Buffer.concat(wire.seen).subarray(-6, -5).toString() === 'Z') copy.handleReadyForQuery()
  }, 1)
  for (let batch = await copy.next(); batch; batch = await copy.next()) {
    for (let i = 0; i < batch.rows; i++)
      rows.push(Buffer.from(batch.data.subarray(batch.offsets[i], batch.offsets[i + 1])))
    batches.push(batch.rows)
    batch.release()
  }
  clearInterval(listening)
  copy.close()
  expect(pool.statistics.used).toBe(0)
  return { rows, batches, others: Buffer.concat(wire.seen) }
}

const NOTICE = frame('N', Buffer.from('SNOTICE\0\0'))
const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 5 })
const values = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 40 })
const limits = fc.record({ rows: fc.integer({ min: 1, max: 10 }), bytes: fc.integer({ min: 1, max: 2000 }) })

test('binary rows survive every cut of the stream, with notices between them', async () => {
  await fc.assert(
    fc.asyncProperty(values, sizes, limits, fc.boolean(), async (rows, pieces, limit, notice) => {
      const tuples = rows.map((row) => tuple(row))
      const messages = [...tuples, Buffer.from([0xff, 0xff])]
      const first = Buffer.concat([HEADER, messages[0] ?? Buffer.alloc(0)])
      const frames = [frame('d', first), ...messages.slice(1).map((message) => frame('d', message))]
      const bytes = Buffer.concat([
        frame('H', Buffer.from([1, 0, 0])),
        ...frames.flatMap((one) => (notice ? [one, NOTICE] : [one])),
        END,
      ])
      const found = await collect('binary', bytes, pieces, limit)
      expect(found.rows).toEqual(tuples.map((one) => frame('d', one)))
      expect(Math.max(0, ...found.batches)).toBeLessThanOrEqual(limit.rows)
      expect(found.others.includes(NOTICE)).toBe(notice)
      expect(found.others.subarray(-END.length)).toEqual(END)
    }),
    { numRuns: 60 },
  )
})

test('lines of CSV lose their frames, and text keeps them', async () => {
  await fc.assert(
    fc.asyncProperty(
      values,
      sizes,
      limits,
      fc.constantFrom<CopyFormat>('csv', 'text'),
      async (rows, pieces, limit, format) => {
        const frames = rows.map((row) => frame('d', row))
        const found = await collect(format, Buffer.concat([...frames, END]), pieces, limit)
        expect(found.rows).toEqual(format === 'csv' ? rows.map((row) => Buffer.from(row)) : frames)
      },
    ),
    { numRuns: 40 },
  )
})

test('a row that is larger than the buffer makes it grow', async () => {
  const large = Buffer.alloc(3_000_000, 7)
  const rows = [Buffer.from('a'), large, Buffer.from('b')].map((value) => tuple(value))
  const frames = rows.map((row, i) => frame('d', i === 0 ? Buffer.concat([HEADER, row]) : row))
  const found = await collect('binary', Buffer.concat([...frames, END]), [65_536], { rows: 10, bytes: 1000 })
  expect(found.rows.map(({ length }) => length)).toEqual([12, 3_000_011, 12])
})

test('a tuple with another number of fields is refused', async () => {
  const bytes = Buffer.concat([frame('d', Buffer.concat([HEADER, Buffer.from([0, 2])])), END])
  await expect(collect('binary', bytes, [1000], { rows: 10, bytes: 1000 })).rejects.toMatchObject({
    code: 'data_invalid',
  })
})

test('what the server has against a copy rejects the next write', async () => {
  const wire = new Wire([])
  const client = { query: (copy: CopyIn) => wire.submitTo(copy) }
  let started: CopyIn | undefined
  const starting = CopyIn.start({ query: (copy: CopyIn) => ((started = copy), client.query(copy)) } as never, '', true)
  started?.handleCopyInResponse()
  const copy = await starting
  await copy.write(Buffer.from('row'))
  copy.handleError(new Error('refused'))
  await expect(copy.write(Buffer.from('more'))).rejects.toThrow('refused')
  await expect(copy.finish()).rejects.toThrow('refused')
  expect(Buffer.concat(wire.written).toString('latin1')).toBe(`${frame('d', HEADER).toString('latin1')}row`)
})
