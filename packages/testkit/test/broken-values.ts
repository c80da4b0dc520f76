import type { Json } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { BrokenByCheck } from './broken.ts'
import {
  accepted,
  accepts,
  batches,
  cuts,
  destination,
  losesTheLastBatch,
  reads,
  source,
  spoiled,
  writers,
  written,
} from './broken.ts'
import { changeBatch } from './change-batch.ts'
import type { Defect } from './reference-connector.ts'

const largest = 2n ** 63n - 1n

/** As a double holds it. */
function asDouble(text: string): string {
  const value = BigInt(Number(text))
  return String(value > largest ? largest : value)
}

/** Refuses booleans, of which nobody says that it does. */
const refusesBooleans: Defect = writers((good, { isolate, stream }) => ({
  async write(batch, from, to) {
    if (stream.schema.fields[1]?.type.kind !== 'bool') return good.write(batch, from, to)
    if (!isolate) throw new NebulaError('row_rejected', { message: 'no booleans' })
    return Array.from({ length: to - from }, (_, i) => {
      return { row: from + i, code: 'refused', reason: 'no booleans', place: batch.place(from + i) }
    })
  },
}))

export const brokenValues: BrokenByCheck = {
  'keeps every value of the torture set, or names the row that it refuses': [
    ['turns int64 into a double', spoiled(['int64'], asDouble), /int64.*9007199254740993/],
    ['drops microseconds', spoiled(['time', 'timestamp'], (text) => text.replace(/(\.\d{3})\d+/, '$1')), /time/],
    ['takes empty text for null', spoiled(['utf8'], (text) => text || null), /utf8.*""/],
    ['trims texts', spoiled(['utf8'], (text) => text.trim()), /utf8/],
    ['loses zeros at the end', spoiled(['decimal'], (text) => text.replace(/0$/, '')), /decimal/],
    ['loses the byte order mark', spoiled(['utf8'], (text) => text.replace(/^\ufeff/, '')), /utf8.*\ufeff/],
    ['loses the sign of zero', spoiled(['float64'], (text) => (text === '-0' ? '0' : text)), /float64.*"-0"/],
    ['refuses values that it says it takes', refusesBooleans, /refused, and those/],
  ],
  'keeps one row of every type, and null in each of them': [
    ['takes null for false', written((text, { kind }) => text ?? (kind === 'bool' ? 'false' : null)), /bool/],
    ['takes null for zero', written((text, { kind }) => text ?? (kind === 'int16' ? '0' : null)), /int16/],
  ],
  'keeps generated values of every type': [
    ['loses the sign', spoiled(['int32'], (text) => text.replace('-', '')), /NEBULA_SEED=\d+.*int32/],
    ['turns int64 into a double', spoiled(['int64'], asDouble), /NEBULA_SEED=\d+.*int64/],
  ],
  'says what a column loses, before anything is written': [
    ['does not say what it loses', accepts((column) => ({ ...column, fidelity: 'lossy' })), /not said what/],
  ],
  'claims no column for values that only another system understands': [
    [
      'claims to keep what nobody knows',
      destination((good) => ({
        accept: (request, schema, ...rest) => {
          const columns = schema.fields.map(({ type }) => ({ as: type, type: type.kind, fidelity: 'exact' as const }))
          return { ...accepted(good, request, schema, ...rest), columns, problems: [] }
        },
      })),
      /nobody knows/,
    ],
  ],
}

export const brokenBatching: BrokenByCheck = {
  'reads batches of as many rows as are asked for at most, and the same rows in each size': [
    [
      'reads as many rows as it likes',
      reads((task) => ({ ...task, batch: { ...task.batch, rows: 50 } })),
      /at most has/,
    ],
    [
      'loses a row at the end of each full batch',
      batches((batch, task) => changeBatch(batch, { drop: (_, row) => row === task.batch.rows - 1 })),
      /missing/,
    ],
  ],
  'ends a batch of wide rows at its bytes': [
    ['counts rows alone', reads((task) => ({ ...task, batch: { ...task.batch, bytes: 1e9 } })), /bytes has/],
  ],
  'writes the same rows in batches of one row and of many': [['loses the last batch', losesTheLastBatch, /missing/]],
  'writes wide rows in small batches': [
    ['cuts long texts', spoiled(['utf8'], (text) => text.slice(0, 16_384)), /Wide rows/],
  ],
  'moves a stream without rows, of one row, and of one column': [
    [
      'makes no target without rows',
      destination((good) => ({
        finish: async (run, streams, context) => {
          await good.finish?.(
            run,
            streams.filter((name) => name !== 'no_rows'),
            context,
          )
        },
      })),
      /no_rows/,
    ],
    [
      'leaves out rows of nulls',
      batches((batch) => changeBatch(batch, { drop: (row) => row.every((text) => text === null) })),
      /one_column/,
    ],
  ],
  'moves a stream of as many columns as the system has': [
    [
      'finds a hundred columns',
      source((good) => ({
        async discover(...asked) {
          const { streams } = await good.discover(...asked)
          return { streams: streams.map((info) => ({ ...info, schema: { fields: info.schema.fields.slice(0, 100) } })) }
        },
      })),
      /"c100"/,
    ],
  ],
}

type Range = { readonly from: number; readonly [key: string]: Json }

const rangeOf = (range: Json): Range => range as unknown as Range

/** Moves where a partition begins; the first one begins where it did. */
const begins = (by: number): Defect =>
  cuts((partition) => {
    const range = rangeOf(partition.range)
    return { ...partition, range: { ...range, from: range.from === 0 ? 0 : range.from + by } }
  })

/** Keeps what it planned to itself. */
const remembers: Defect = source((good) => {
  const ranges: Json[] = []
  return {
    async plan(...asked) {
      const plan = await good.plan?.(...asked)
      const partitions = plan?.partitions ?? []
      ranges.push(...partitions.map(({ range }) => range))
      return { restart: [], partitions: partitions.map((partition, from) => ({ ...partition, range: { from } })) }
    },
    read({ partition, ...task }, context) {
      const range = ranges[rangeOf(partition.range).from]
      if (range === undefined) throw new NebulaError('internal', { message: 'Nothing was planned here.' })
      return good.read({ ...task, partition: { ...partition, range } }, context)
    },
  }
})

/** Goes on with the partitions of the previous plan, whatever became of the stream. */
const trustsPartitions: Defect = source((good) => ({
  async plan(streams, bytes, previous, context) {
    const fresh = await good.plan?.(streams, bytes, undefined, context)
    const version = rangeOf(fresh?.partitions[0]?.range ?? {})['version'] ?? null
    const before = previous?.plan.partitions ?? []
    const kept = before.map((partition) => ({ ...partition, range: { ...rangeOf(partition.range), version } }))
    return { restart: [], partitions: kept.length > 0 ? kept : (fresh?.partitions ?? []) }
  },
}))

export const brokenPartitions: BrokenByCheck = {
  'gives every row once, however many partitions are asked for': [
    ['cuts partitions that overlap', begins(-1), /too many/],
    ['leaves gaps between partitions', begins(1), /missing/],
  ],
  'gives partitions ids that are unique, and the same when it plans again': [
    ['calls all partitions the same', cuts((partition) => ({ ...partition, id: partition.stream })), /one id/],
    ['draws ids by lot', cuts((partition) => ({ ...partition, id: `${Math.random()}` })), /Planned again/],
  ],
  'reads partitions that went through JSON to another driver': [
    ['keeps what it planned to itself', remembers, /Nothing was planned here/],
  ],
  'goes on behind every position that it gives': [
    [
      'reads the last row again',
      reads(({ from, ...task }) => ({
        ...task,
        ...(from === undefined ? {} : { from: { from: rangeOf(from).from - 1 } }),
      })),
      /Behind/,
    ],
  ],
  'goes on with a stream that did not change, killed behind each commit': [
    [
      'cuts otherwise when it goes on',
      source((good) => ({
        plan: async (streams, bytes, previous, context) => {
          const plan = await good.plan?.(streams, previous ? bytes * 1.5 : bytes, undefined, context)
          return { restart: [], partitions: plan?.partitions ?? [] }
        },
      })),
      /Killed behind each commit/,
    ],
  ],
  'neither loses nor doubles rows that moved between a kill and the resume': [
    ['goes on as if nothing had changed', trustsPartitions, /Rows moved/],
  ],
}
