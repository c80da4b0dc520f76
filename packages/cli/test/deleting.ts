import type { Outcome, PostgresEnds } from './one-stream.ts'
import { runFile, usePostgresEnds, writePipeline } from './one-stream.ts'

/** How a run ended that looks for deleted rows. */
interface Deleted extends Omit<Outcome, 'stream'> {
  readonly written: number | undefined
  readonly deleted: number | undefined
}

/** What writes the file of a pipeline that deletes rows; left out, its ends are the two databases. */
type WriteDeleting = (options?: object, source?: object, destination?: object) => Promise<string>

/** The two databases, and a stream that is merged from one to the other with `deletes: hard`. */
export function useDeleting(folder: () => string): PostgresEnds & { readonly pipeline: WriteDeleting } {
  const ends = usePostgresEnds('DELETES')
  const pipeline: WriteDeleting = (options = {}, source = ends.SOURCE, destination = ends.TARGET) => {
    const stream = { mode: 'merge', key: ['id'], target: 't', deletes: 'hard', ...options }
    const streams = { [source === ends.SOURCE ? 'public.t' : 't']: stream }
    return writePipeline(folder(), { source, destination, streams })
  }
  return { ...ends, pipeline }
}

export async function runDeleting(file: string): Promise<Deleted> {
  const { stream, ...rest } = await runFile(file)
  return { ...rest, written: stream?.written, deleted: stream?.deleted }
}

export function done(written: number, deleted: number): Deleted {
  return { code: 0, written, deleted, error: undefined }
}
