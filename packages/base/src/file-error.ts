import type { ErrorCode } from '@nebula/core'
import { NebulaError, toNebulaError } from '@nebula/core'

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'file_not_found',
  ENOSPC: 'disk_full',
  EDQUOT: 'disk_full',
}

/** What the operating system says of a file, as `file_not_found`, `disk_full` or `file_failed`; others as they are. */
export function fileError(error: unknown, path: string): NebulaError {
  const { code, message } = error as NodeJS.ErrnoException
  if (!(error instanceof Error) || !('errno' in error)) return toNebulaError(error)
  return new NebulaError(CODES[code ?? ''] ?? 'file_failed', {
    message: `${path}: ${message}.`,
    place: path,
    cause: error,
  })
}
