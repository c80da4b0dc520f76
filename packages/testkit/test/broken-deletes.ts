import type { RecordBatch } from '@nebula/core'
import { isNebulaError } from '@nebula/core'
import type { BrokenByCheck } from './broken.ts'
import { empty, sweeps } from './broken.ts'
import { storeOf } from './reference-store.ts'

async function countRows(batches: AsyncIterable<RecordBatch>): Promise<number> {
  let rows = 0
  for await (const batch of batches) rows += batch.rows
  return rows
}

/** The same batches, which end where they fail. */
async function* untilError(
  batches: AsyncIterable<RecordBatch>,
  told: (error: unknown) => void,
): AsyncGenerator<RecordBatch> {
  try {
    yield* batches
  } catch (error) {
    told(error)
  }
}

/** Of the group `modes`. */
export const brokenDeletes: BrokenByCheck = {
  'deletes rows whose key the source has no longer, and no others': [
    [
      'deletes nothing',
      sweeps(() => async (_run, _stream, keys) => (await countRows(keys), 0)),
      /deleted 0 rows instead of 3/,
    ],
    [
      'only says so',
      sweeps(() => async (_run, _stream, keys) => ((await countRows(keys)) === 4 ? 3 : 0)),
      /3 are too many/,
    ],
    [
      'forgets a key',
      sweeps((good, place) => async (run, stream, ...asked) => {
        const deleted = await good(run, stream, ...asked)
        const store = storeOf(place)
        const rows = deleted > 0 ? store.rows(stream.target).slice(1) : store.rows(stream.target)
        store.create({ name: stream.target, fields: run.streams[0]?.schema.fields ?? [], rows })
        return deleted
      }),
      /1 are missing/,
    ],
  ],
  'deletes nothing before it has all keys, and goes on from there': [
    [
      'takes what it was given for all keys',
      sweeps((good) => async (run, stream, keys, context) => {
        let failure: unknown
        const deleted = await good(
          run,
          stream,
          untilError(keys, (error) => (failure = error)),
          context,
        )
        if (failure !== undefined) throw failure
        return deleted
      }),
      /Keys could not be read: .* missing/,
    ],
  ],
  'deletes nothing for a run that was overtaken meanwhile': [
    [
      'does not look whether it was',
      sweeps(
        (good) =>
          (run, ...asked) =>
            good({ ...run, epoch: Number.MAX_SAFE_INTEGER }, ...asked),
      ),
      /ended as done/,
    ],
  ],
  'deletes nothing where no row would be left': [
    [
      'does what it is told',
      sweeps((good, place) => async (run, ...asked) => {
        try {
          return await good(run, ...asked)
        } catch (error) {
          if (isNebulaError(error, 'deletes_refused')) empty(place, run)
          throw error
        }
      }),
      /The source was emptied: 0 rows/,
    ],
  ],
}
