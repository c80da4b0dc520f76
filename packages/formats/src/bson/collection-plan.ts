import type { Partition, PreviousPlan } from '@nebula/core'
import type { IdRange } from './id-ranges.ts'

/**
 * The partitions of an interrupted run, where some are committed and fit; else why they do not. An `_id` never changes, so
 * a document stays in its range, for as long as the collection has its `uuid` and the snapshot, if there is one, is kept.
 * The proof of the plan has the uuids by stream.
 */
export function keptPartitions(
  stream: string,
  uuid: string,
  snapshot: string | undefined,
  previous: PreviousPlan | undefined,
): { readonly kept?: readonly Partition[]; readonly reason?: string } {
  if (!previous) return {}
  const { plan, committed } = previous
  const kept = plan.partitions.filter((partition) => partition.stream === stream)
  if (!kept.some(({ id }) => committed.some(({ partition }) => partition === id))) return {}
  if ((plan.proof as Readonly<Record<string, string>>)[stream] !== uuid)
    return { reason: 'the collection was dropped and made anew' }
  return plan.snapshot === snapshot ? { kept } : { reason: 'the server no longer keeps its snapshot' }
}

/** Ranges of a stream as its partitions, in order. */
export function rangePartitions(stream: string, ranges: readonly IdRange[]): Partition[] {
  return ranges.map((range, i) => ({ id: `${stream}#${String(i).padStart(5, '0')}`, stream, range: { ...range } }))
}

/** A document is in memory several times, on its way in and out. */
const LARGE_DOCUMENT = 4_000_000

/** True when documents are so large that one task at a time is to read them. */
export function areLarge(partitions: readonly Partition[]): boolean {
  return partitions.some(({ range }) => ((range as Partial<IdRange>).documentBytes ?? 0) > LARGE_DOCUMENT)
}
