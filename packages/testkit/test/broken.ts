import type {
  DestinationDriver,
  Partition,
  ReadTask,
  RecordBatch,
  Run,
  SourceDriver,
  Writer,
  WriteTask,
} from '@nebula/core'
import type { Row } from '../src/index.ts'
import type { Change } from './change-batch.ts'
import { changeBatch } from './change-batch.ts'
import type { Defect } from './reference-connector.ts'
import { storeOf } from './reference-store.ts'

/** What is wrong, a connector that is so, and what the check says of it. */
type Broken = readonly [what: string, defect: Defect, says: RegExp]
/** By the name of the check that has to find them. */
export type BrokenByCheck = Readonly<Record<string, readonly Broken[]>>

/** A destination with methods in place of the good ones; `place` is where it writes. */
export function destination(change: (good: DestinationDriver, place: string) => Partial<DestinationDriver>): Defect {
  return { destination: (good, { place }) => ({ ...good, ...change(good, place) }) }
}

export function source(change: (good: SourceDriver) => Partial<SourceDriver>): Defect {
  return { source: (good) => ({ ...good, ...change(good) }) }
}

/** A destination whose writers have methods in place of the good ones. */
export function writers(change: (good: Writer, task: WriteTask, place: string) => Partial<Writer>): Defect {
  return destination((good, place) => ({
    async writer(task, context) {
      const writer = await good.writer(task, context)
      return { ...writer, ...change(writer, task, place) }
    },
  }))
}

/** A destination that writes other values than it is given. */
export function written(change: Change): Defect {
  return writers((good) => ({ write: (batch, from, to) => good.write(changeBatch(batch, { change }), from, to) }))
}

/** The same for values of some types that are not null. */
export function spoiled(kinds: readonly string[], change: (text: string) => string | null): Defect {
  return written((text, { kind }) => (text !== null && kinds.includes(kind) ? change(text) : text))
}

/** A source that does another task than it is given. */
export function reads(change: (task: ReadTask) => ReadTask): Defect {
  return source((good) => ({ read: (task, context) => good.read(change(task), context) }))
}

/** A source whose batches are others. */
export function batches(change: (batch: RecordBatch, task: ReadTask) => RecordBatch): Defect {
  return source((good) => ({
    async *read(task, context) {
      for await (const batch of good.read(task, context)) yield change(batch, task)
    },
  }))
}

/** A source that cuts otherwise. */
export function cuts(change: (partition: Partition) => Partition): Defect {
  return source((good) => ({
    async plan(...asked) {
      const plan = await good.plan?.(...asked)
      return { restart: [], ...plan, partitions: (plan?.partitions ?? []).map(change) }
    },
  }))
}

/** What a destination says of each column. */
export function accepts(
  change: (column: ReturnType<Accept>['columns'][number]) => ReturnType<Accept>['columns'][number],
): Defect {
  return destination((good) => ({
    accept: (...asked) => {
      const answer = accepted(good, ...asked)
      return { ...answer, columns: answer.columns.map(change) }
    },
  }))
}

type Accept = NonNullable<DestinationDriver['accept']>

/** What the good one says of a stream. */
export function accepted(good: DestinationDriver, ...asked: Parameters<Accept>): ReturnType<Accept> {
  const answer = good.accept?.(...asked)
  if (!answer) throw new Error('The reference connector says what it accepts.')
  return answer
}

/** A destination whose targets hold other rows than they should once they are finished. */
export function published(change: (rows: readonly Row[], run: Run, target: string) => readonly Row[]): Defect {
  return destination((good, place) => ({
    async finish(run, streams, context) {
      await good.finish?.(run, streams, context)
      const store = storeOf(place)
      for (const { target, schema } of run.streams)
        store.create({ name: target, fields: schema.fields, rows: change(store.rows(target), run, target) })
    },
  }))
}

type Sweep = NonNullable<DestinationDriver['sweep']>

/** A destination that deletes other rows than it should. */
export function sweeps(change: (good: Sweep, place: string) => Sweep): Defect {
  return destination((good, place) => {
    const sweep: Sweep = (...asked) => good.sweep?.(...asked) ?? Promise.resolve(0)
    return { sweep: change(sweep, place) }
  })
}

/** Empties the targets of a run. */
export function empty(place: string, { streams }: Run): void {
  for (const { target, schema } of streams) storeOf(place).create({ name: target, fields: schema.fields, rows: [] })
}

/** Loses what was written last before each commit. */
export const losesTheLastBatch: Defect = writers((good) => {
  let held: RecordBatch | undefined
  return {
    async write(batch, from, to) {
      const rejected = held ? await good.write(held, 0, held.rows) : []
      held = changeBatch(batch, { drop: (_, row) => row < from || row >= to })
      return rejected
    },
    async commit(checkpoint) {
      held = undefined
      await good.commit(checkpoint)
    },
  }
})
