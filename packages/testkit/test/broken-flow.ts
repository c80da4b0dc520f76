import { setTimeout as sleep } from 'node:timers/promises'
import type { Column, Context, RecordBatch } from '@nebula/core'
import { BufferPool, createBatch, NebulaError } from '@nebula/core'
import type { Row } from '../src/index.ts'
import { columnTexts } from '../src/index.ts'
import type { BrokenByCheck } from './broken.ts'
import { batches, destination, source, writers } from './broken.ts'
import type { Defect } from './reference-connector.ts'
import { storeOf } from './reference-store.ts'

/** Takes columns when a batch comes, and looks at them when it commits. */
const queues: Defect = writers((good) => {
  const held: { batch: RecordBatch; columns: readonly Column[] }[] = []
  return {
    async write(batch) {
      held.push({ batch, columns: batch.schema.fields.map((_, index) => batch.column(index)) })
      return []
    },
    async commit(checkpoint) {
      for (const { batch, columns } of held.splice(0)) {
        const { stream, schema, rows } = batch
        await good.write(createBatch({ stream, schema, rows, columns }), 0, rows)
      }
      await good.commit(checkpoint)
    },
  }
})

/** A batch that does not know that it was released. */
function undying(batch: RecordBatch): RecordBatch {
  const { stream, schema, rows, byteLength, position, rejected } = batch
  const columns = schema.fields.map((_, index) => batch.column(index))
  return {
    stream,
    schema,
    rows,
    byteLength,
    position,
    rejected,
    column: (index) => columns[index] as Column,
    record: (row) => batch.record(row),
    place: (row) => batch.place(row),
    origin: (row) => batch.origin(row),
    release() {},
  }
}

export const brokenBuffers: BrokenByCheck = {
  'does not look at a batch once write has resolved': [
    ['looks at a batch when it commits', queues, /The run ended as failed|rows/],
  ],
  'leaves a batch that is lent to it to its owner': [
    [
      'releases what it was lent',
      writers((good) => ({
        async write(batch, from, to) {
          const rejected = await good.write(batch, from, to)
          batch.release()
          return rejected
        },
      })),
      /released/,
    ],
  ],
  'lets nobody use a batch that was released': [
    ['reuses a released buffer', batches(undying), /A column of a batch that was released did not fail/],
  ],
  'gives all memory of a read back: at its end, left early, stopped, failed': [
    [
      'keeps memory when it is left early',
      source((good) => ({
        async *read(task, context) {
          const buffer = context.pool.take(10_000)
          yield* good.read(task, context)
          context.pool.give(buffer)
        },
      })),
      /Reading, stopped,|left early/,
    ],
    [
      'keeps memory',
      source((good) => ({
        read(task, context) {
          context.pool.take(10_000)
          return good.read(task, context)
        },
      })),
      /Reading keeps/,
    ],
  ],
  'gives all memory of a writer back: at its end, stopped, failed': [
    [
      'keeps memory when it is aborted',
      destination((good) => ({
        async writer(task, context) {
          const writer = await good.writer(task, context)
          const buffer = context.pool.take(10_000)
          return {
            ...writer,
            async commit(checkpoint) {
              await writer.commit(checkpoint)
              context.pool.give(buffer)
            },
          }
        },
      })),
      /Writing, (stopped|failed), keeps/,
    ],
  ],
}

/** Never lets the process rest while it reads. */
const spins: Defect = source((good) => ({
  async *read(task, context) {
    let reading = true
    const spin = (): unknown => reading && setImmediate(spin)
    spin()
    try {
      yield* good.read(task, context)
    } finally {
      reading = false
    }
  },
}))

const boundless = (context: Context): Context => ({ ...context, pool: new BufferPool(Infinity) })

export const brokenBackpressure: BrokenByCheck = {
  'reads no further than memory allows, and rests until there is some': [
    [
      'does not count its memory',
      source((good) => ({ read: (task, context) => good.read(task, boundless(context)) })),
      /bytes were read though/,
    ],
    ['spins', spins, /busy/],
  ],
  'leaves rows with the server while nobody takes them': [
    [
      'reads everything at once',
      source((good) => ({
        async *read(task, context) {
          const all: RecordBatch[] = []
          for await (const batch of good.read(task, boundless(context))) all.push(batch)
          for (const batch of all) {
            await context.pool.ready(context.signal)
            yield batch
          }
        },
      })),
      /came though nobody took them/,
    ],
  ],
  'rests while the server is silent': [['spins', spins, /busy/]],
}

export const brokenHealth: BrokenByCheck = {
  'is healthy exactly while the server answers': [
    ['does not ask the server', source(() => ({ ping: async () => {} })), /healthy while the server refused/],
    [
      'says that it is there without asking',
      { destination: (good) => ({ ...good, ping: async () => {} }) },
      /healthy while the server refused/,
    ],
  ],
  'counts the rows that it reads, and the calls that fail': [
    [
      'says that a batch has no bytes',
      batches((batch) => ({ ...undying(batch), byteLength: 0, release: () => batch.release() })),
      /counts 0 bytes/,
    ],
    [
      'says that a batch has fewer rows',
      batches((batch) => ({ ...undying(batch), rows: batch.rows - 1, release: () => batch.release() })),
      /rows instead of 1200/,
    ],
  ],
  'counts rows as durable once they are committed, and not before': [
    [
      'lies about a capability: it does not keep what it commits',
      writers(() => ({ commit: async () => {} })),
      /recalls after the commit/,
    ],
  ],
}

/** Takes a lost connection for the end. */
const ends: Defect = source((good) => ({
  async *read(task, context) {
    try {
      yield* good.read(task, {
        ...context,
        call: (request, options) => context.call(request, { ...options, idempotent: false }),
      })
    } catch {
      // Swallowed.
    }
  },
}))

const commitsAnyway: Defect = writers((good) => ({ commit: (checkpoint) => good.commit(checkpoint).catch(() => {}) }))

/** Has rows in the memory of this process until it finishes. */
const remembers: Defect = destination((good, place) => {
  const rows: Row[] = []
  return {
    async writer(task, context) {
      const writer = await good.writer(task, context)
      return {
        ...writer,
        async write(batch, from, to) {
          const texts = batch.schema.fields.map((_, index) => columnTexts(batch.column(index)))
          for (let row = from; row < to; row++) rows.push(texts.map((column) => column[row] ?? null))
          return []
        },
      }
    },
    async finish(run, streams, context) {
      await good.finish?.(run, streams, context)
      for (const { target, schema } of run.streams) storeOf(place).create({ name: target, fields: schema.fields, rows })
    },
  }
})

/** Waits for an answer as long as it takes. */
const patient = (context: Context): Context => ({
  ...context,
  call: (request) => request(new AbortController().signal),
})

/** Takes a network that is slow for one that is gone. */
async function impatiently(work: Promise<unknown> | undefined): Promise<void> {
  const late = sleep(4).then(() => {
    throw new NebulaError('timeout', { message: 'Four milliseconds are over.' })
  })
  await Promise.race([work, late])
}

export const brokenFaults: BrokenByCheck = {
  'says at once that nobody listens': [
    [
      'swallows an error',
      source((good) => ({
        open: (context) => good.open?.(context).catch(() => {}) ?? Promise.resolve(),
        ping: async () => {},
      })),
      /did not fail/,
    ],
    [
      'takes it for a wrong password',
      destination((good) => ({
        open: async (context) => {
          await good.open?.(context).catch((cause: unknown) => {
            throw new NebulaError('authentication_failed', { message: 'Nobody there.', cause })
          })
        },
      })),
      /authentication_failed instead of connection_failed/,
    ],
  ],
  'loses and doubles nothing when connections are cut: reading': [
    ['takes a lost connection for the end', ends, /are missing/],
  ],
  'loses and doubles nothing when connections are cut: writing': [
    ['takes every commit for done', commitsAnyway, /are missing|next run/],
  ],
  'gives up a server that is silent, and goes on when it answers: reading': [
    [
      'waits for ever',
      source((good) => ({ discover: (context, defined) => good.discover(patient(context), defined) })),
      /silent at discover did not end/,
    ],
  ],
  'gives up a server that is silent, and goes on when it answers: writing': [
    [
      'waits for ever',
      destination((good) => ({ recall: async (pipeline, context) => good.recall?.(pipeline, patient(context)) })),
      /silent at recall did not end/,
    ],
  ],
  'gets through a slow network: reading': [
    ['is impatient', source((good) => ({ open: (context) => impatiently(good.open?.(context)) })), /Four milliseconds/],
  ],
  'gets through a slow network: writing': [
    [
      'is impatient',
      destination((good) => ({ open: (context) => impatiently(good.open?.(context)) })),
      /Four milliseconds/,
    ],
  ],
  'loses and doubles nothing when the server is killed and starts again: reading': [
    ['takes a lost connection for the end', ends, /are missing/],
  ],
  'loses and doubles nothing when the server is killed and starts again: writing': [
    ['only remembers what it says it committed', remembers, /are missing/],
  ],
}
