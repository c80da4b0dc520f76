import type { RecordBatch, Rejection, Writer } from '@nebula/core'
import { isNebulaError } from '@nebula/core'

/**
 * Writes rows `from` to `to`, and returns those that the destination refuses. Where it refuses some and cannot say
 * which, the range is halved until the row is alone.
 */
export async function writeIsolated(
  writer: Writer,
  batch: RecordBatch,
  from: number,
  to: number,
): Promise<readonly Rejection[]> {
  if (from === to) return []
  try {
    return await writer.write(batch, from, to)
  } catch (error) {
    if (!isNebulaError(error, 'row_rejected')) throw error
    if (to - from === 1) return [{ row: from, code: error.code, reason: error.message, place: batch.place(from) }]
    const middle = (from + to) >> 1
    const first = await writeIsolated(writer, batch, from, middle)
    return [...first, ...(await writeIsolated(writer, batch, middle, to))]
  }
}
