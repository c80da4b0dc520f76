import type { CursorMarks, Recalled } from '@nebula/core'

/** How far incremental streams are after the last run, which was interrupted or not. */
export function cursorMarks(recalled: Recalled | undefined): CursorMarks {
  if (!recalled) return {}
  const { run, finished } = recalled
  const marks = new Map(Object.entries(run.from ?? {}))
  for (const { request } of run.streams) {
    const next = finished.includes(request.stream) ? run.next?.[request.stream] : undefined
    if (next) marks.set(request.stream, next)
    // Another mode wrote the target meanwhile.
    if (request.cursor === undefined) marks.delete(request.stream)
  }
  return Object.fromEntries(marks)
}
