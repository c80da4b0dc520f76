import type { Json, Mode, Plan, Recalled, RecordBatch, Rejection, Run } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import type { Row } from '../src/index.ts'
import type { BrokenByCheck } from './broken.ts'
import { accepted, batches, destination, empty, losesTheLastBatch, published, writers } from './broken.ts'
import { batchRows, changeBatch } from './change-batch.ts'
import type { Defect } from './reference-connector.ts'
import { storeOf } from './reference-store.ts'

/** Asks, and takes a refusal with this code for success. */
async function ignoring(code: 'fenced' | 'already_committed', work: Promise<void> | undefined): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isNebulaError(error, code)) throw error
  }
}

const ignoresTheEpoch: Defect = destination((good) => ({
  async writer(task, context) {
    const writer = await good.writer(task, context)
    return { ...writer, commit: (checkpoint) => ignoring('fenced', writer.commit(checkpoint)) }
  },
  finish: (...asked) => ignoring('fenced', good.finish?.(...asked)),
  end: (...asked) => ignoring('fenced', good.end?.(...asked)),
}))

/** What is recalled is without checkpoints, or without some of them. */
function recalls(keep: (index: number, all: number) => boolean): Defect {
  return destination((good) => ({
    async recall(...asked) {
      const recalled = await good.recall?.(...asked)
      const all = recalled?.checkpoints.length ?? 0
      return recalled && { ...recalled, checkpoints: recalled.checkpoints.filter((_, index) => keep(index, all)) }
    },
  }))
}

/** Rows that were written and not committed, by place and target: they are published with the others. */
const uncommitted = new Map<string, Row[]>()
const publishesUncommitted: Defect = {
  destination: (good, { place }) => ({
    ...good,
    async writer(task, context) {
      const writer = await good.writer(task, context)
      const key = `${place} ${task.stream.target}`
      return {
        async write(batch, from, to) {
          uncommitted.set(key, [...(uncommitted.get(key) ?? []), ...batchRows(batch).slice(from, to)])
          return writer.write(batch, from, to)
        },
        async commit(checkpoint) {
          const before = uncommitted.get(key) ?? []
          await writer.commit(checkpoint)
          uncommitted.set(key, before.slice(0, -2))
        },
        abort: (reason) => writer.abort(reason),
      }
    },
    async finish(run, streams, context) {
      await good.finish?.(run, streams, context)
      for (const { target, schema } of run.streams) {
        const rows = [...storeOf(place).rows(target), ...(uncommitted.get(`${place} ${target}`) ?? [])]
        storeOf(place).create({ name: target, fields: schema.fields, rows })
      }
    },
  }),
}

/** Rows of a writer that was aborted are there when the next one begins. */
const keepsAbortedRows: Defect = {
  destination: (good) => {
    const left = new Map<string, RecordBatch[]>()
    return {
      ...good,
      async writer(task, context) {
        const writer = await good.writer(task, context)
        const { id } = task.partition
        const since: RecordBatch[] = []
        for (const batch of left.get(id) ?? []) await writer.write(batch, 0, batch.rows)
        left.delete(id)
        return {
          write(batch, from, to) {
            since.push(changeBatch(batch))
            return writer.write(batch, from, to)
          },
          commit: (checkpoint) => writer.commit(checkpoint),
          async abort(reason) {
            left.set(id, since.slice(-1))
            await writer.abort(reason)
          },
        }
      },
    }
  },
}

const secondRunner = (method: string): string =>
  `lets a second runner have the run, and fences the first one when it wakes up at its ${method}`

export const brokenCommits: BrokenByCheck = {
  'goes on behind each commit after a kill': [
    [
      'doubles a row after a restart',
      published((rows, { epoch }) => (epoch > 1 ? [...rows, ...rows.slice(0, 1)] : rows)),
      /too many/,
    ],
    ['loses the last batch', losesTheLastBatch, /missing/],
    ['forgets its checkpoints', recalls(() => false), /does not get on/],
  ],
  'leaves nothing of rows that were written and not committed': [
    ['publishes them with the others', publishesUncommitted, /too many/],
  ],
  'settles commits whose answer was lost': [
    ['forgets the last commit', recalls((index, all) => index < all - 1), /already_committed/],
  ],
  'makes commits again that failed before they were made': [
    ['keeps rows of a writer that was aborted', keepsAbortedRows, /too many/],
  ],
  'refuses a commit that was made already': [
    [
      'says that it made it',
      writers((good) => ({ commit: (checkpoint) => ignoring('already_committed', good.commit(checkpoint)) })),
      /ended as done/,
    ],
  ],
  [secondRunner('write')]: [['ignores the epoch', ignoresTheEpoch, /first runner ended as done/]],
  [secondRunner('commit')]: [['ignores the epoch', ignoresTheEpoch, /first runner ended as done/]],
  [secondRunner('finish')]: [['ignores the epoch', ignoresTheEpoch, /first runner ended as done/]],
  'lets a second runner have the run that commits while it is asked for': [
    [
      'answers what it answered before',
      destination((good) => {
        let first: Recalled | undefined
        return { recall: async (...asked) => (first ??= await good.recall?.(...asked)) }
      }),
      /already_committed/,
    ],
  ],
  'prepares, finishes and ends twice as once': [
    [
      'finishes once',
      destination((good) => {
        const finished = new Set<string>()
        return {
          async finish(run, ...rest) {
            if (finished.has(run.id)) throw new NebulaError('query_failed', { message: 'There is no staging.' })
            finished.add(run.id)
            await good.finish?.(run, ...rest)
          },
        }
      }),
      /no staging/,
    ],
  ],
  'discards twice as once, and leaves the target as before': [
    [
      'empties the target',
      destination((good, place) => ({
        async discard(run, ...rest) {
          await good.discard?.(run, ...rest)
          empty(place, run)
        },
      })),
      /target after a discarded run/,
    ],
  ],
}

/** Finishes in another mode than it is asked to. */
function finishesIn(mode: Mode): Defect {
  return destination((good) => ({
    async finish(run, ...rest) {
      const streams = run.streams.map((stream) => ({ ...stream, request: { ...stream.request, mode } }))
      await good.finish?.({ ...run, streams }, ...rest)
    },
  }))
}

/** Committed rows are in the target at once. */
const publishesBeforeFinish: Defect = destination((good, place) => ({
  async writer(task, context) {
    const writer = await good.writer(task, context)
    const { target, schema } = task.stream
    let rows: Row[] = []
    return {
      write(batch, from, to) {
        rows.push(...batchRows(batch).slice(from, to))
        return writer.write(batch, from, to)
      },
      async commit(checkpoint) {
        await writer.commit(checkpoint)
        storeOf(place).create({ name: target, fields: schema.fields, rows: [...storeOf(place).rows(target), ...rows] })
        rows = []
      },
      abort: (reason) => writer.abort(reason),
    }
  },
}))

export const brokenModes: BrokenByCheck = {
  'overwrite replaces what a run before wrote': [['appends', finishesIn('append'), /too many/]],
  'overwrite shows readers what was there until all of it is replaced': [
    [
      'empties the target first',
      destination((good, place) => ({
        async prepare(run: Run, context) {
          await good.prepare(run, context)
          empty(place, run)
        },
      })),
      /Read while/,
    ],
    ['publishes before it finishes', publishesBeforeFinish, /Read while/],
  ],
  'append keeps what was there': [['overwrites', finishesIn('overwrite'), /missing/]],
  'append adds no row before all of them are there': [
    ['publishes before it finishes', publishesBeforeFinish, /Read while/],
  ],
  'merge replaces rows whose key comes again, and keeps the others': [
    ['appends', finishesIn('append'), /too many/],
    ['overwrites', finishesIn('overwrite'), /missing/],
  ],
  'merge changes no row before all of them are there': [
    ['publishes before it finishes', publishesBeforeFinish, /Read while/],
  ],
  'merge takes no two rows with one key, and does not choose between them in silence': [
    ['keeps both', finishesIn('append'), /ended as done/],
  ],
  'merge keeps how far an incremental stream came, and goes on from there': [
    [
      'keeps the run as it was prepared',
      destination((good) => ({
        finish: ({ next: _next, ...run }, ...rest) => good.finish?.(run, ...rest) ?? Promise.resolve(),
      })),
      /wrote 5,8,8 rows/,
    ],
  ],
  'says which rows at a target are not its own, so that they are not overwritten unasked': [
    [
      'takes all rows for its own',
      destination((good) => ({
        async describe(...asked) {
          const infos = (await good.describe?.(...asked)) ?? []
          return infos.map((info) => info && { ...info, foreignRows: false })
        },
      })),
      /without being asked/,
    ],
  ],
}

/** Tells of refused rows otherwise than they were refused. */
function refusals(change: (rejections: readonly Rejection[], batch: RecordBatch) => readonly Rejection[]): Defect {
  return writers((good) => ({ write: async (batch, from, to) => change(await good.write(batch, from, to), batch) }))
}

export const brokenDeadLetters: BrokenByCheck = {
  'keeps rows that do not fit their types, and reads the others': [
    [
      'leaves out what does not fit',
      batches((batch) => changeBatch(batch, { drop: (row) => row.includes('none') })),
      /ended as done/,
    ],
    [
      'takes for null what does not fit',
      batches((batch) => changeBatch(batch, { change: (text) => (text === 'none' ? null : text) })),
      /too many/,
    ],
  ],
  'stops reading at more rows that do not fit than are allowed, and says where the first one lies': [
    ['does not say where', batches((batch) => changeBatch(batch, { place: () => '' })), /not named/],
  ],
  'names the rows that the destination refuses, and writes the others': [
    [
      'names the row behind it',
      refusals((rejections, batch) =>
        rejections.map((rejection) => {
          const row = ((rejection.row ?? 0) + 1) % batch.rows
          return { ...rejection, row, place: batch.place(row) }
        }),
      ),
      /Rows that were kept/,
    ],
    ['leaves them out and says nothing', refusals(() => []), /ended as done/],
  ],
  'leaves the target as it was when more rows are refused than are allowed': [
    [
      'publishes what it has',
      destination((good) => ({ discard: async (...asked) => good.finish?.(...asked) })),
      /target of a stream that failed/,
    ],
  ],
}

const plans = new Map<string, Plan>()

/** Remembers its plan beyond the life of the driver, and does not look again. */
const plansOnce: Defect = {
  source: (good, { place }) => ({
    ...good,
    async plan(streams, ...rest) {
      const fresh = (await good.plan?.(streams, ...rest)) ?? { partitions: [], restart: [] }
      const key = `${place} ${streams[0]?.request.stream}`
      const { partitions } = plans.get(key) ?? fresh
      plans.set(key, fresh)
      const now = fresh.partitions[0]?.range as { version: Json } | undefined
      const version = now?.version ?? null
      return {
        ...fresh,
        partitions: partitions.map((part) => ({ ...part, range: { ...(part.range as object), version } })),
      }
    },
  }),
}

export const brokenSchemaChange: BrokenByCheck = {
  'overwrites a target that has other columns, or says why not': [
    [
      'keeps the columns that were there',
      destination((good, place) => {
        const columns = new Map<string, number>()
        return {
          async finish(run, ...rest) {
            await good.finish?.(run, ...rest)
            for (const { target, schema } of run.streams) {
              const { length } = schema.fields
              const kept = Math.min(columns.get(`${place} ${target}`) ?? length, length)
              columns.set(`${place} ${target}`, kept)
              const rows = storeOf(place).rows(target)
              storeOf(place).create({
                name: target,
                fields: schema.fields,
                rows: rows.map((row) => row.slice(0, Math.min(kept, 3))),
              })
            }
          },
        }
      }),
      /When a column was added/,
    ],
  ],
  'appends to a target that has other columns, or says why not': [
    [
      'appends by the place of a column',
      destination((good) => ({ accept: (...asked) => ({ ...accepted(good, ...asked), problems: [] }) })),
      /When a column has another name/,
    ],
  ],
  'begins again as a destination when columns changed while the run was down': [
    [
      'keeps what was staged with the old columns',
      destination((good) => {
        const old = (run: Run): Run => ({
          ...run,
          streams: run.streams.map((stream) => ({ ...stream, generation: 0 })),
        })
        return {
          prepare: (run, context) => good.prepare(old(run), context),
          writer: (task, context) =>
            good.writer({ ...task, run: old(task.run), stream: { ...task.stream, generation: 0 } }, context),
          finish: async (run, ...rest) => good.finish?.(old(run), ...rest),
        }
      }),
      /When a column was added/,
    ],
  ],
  'begins again as a source when columns changed while the run was down': [
    ['reads what it planned before', plansOnce, /missing/],
  ],
}
