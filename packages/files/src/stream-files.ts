import { basename } from 'node:path'
import type { StreamDefinition } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Format } from '@nebula/formats'
import { compressedExtensions } from './byte-stream.ts'
import type { Store, StoredFile } from './store.ts'

/** The extensions of a format's files, plain and compressed. */
function fileExtensions(format: Format): string[] {
  return format.extensions.flatMap((plain) => [plain, ...compressedExtensions.map((packed) => plain + packed)])
}

/** A file's stream is its name without the extensions of compression and format. */
function streamName(path: string, format: Format): string {
  const name = basename(path)
  const extension = fileExtensions(format)
    .filter((known) => name.toLowerCase().endsWith(known) && name.length > known.length)
    .sort((a, b) => b.length - a.length)[0]
  return extension === undefined ? name : name.slice(0, -extension.length)
}

/**
 * The files of every stream: one for each file that `path` names, and those of the streams that the pipeline defines,
 * which win. Throws `file_not_found`; `config_invalid` when two files have one name.
 */
export async function streamFiles(
  store: Store,
  format: Format,
  path: string | undefined,
  defined: readonly StreamDefinition[],
): Promise<Map<string, StoredFile[]>> {
  const streams = new Map<string, StoredFile[]>()
  for (const definition of defined) {
    streams.set(definition.stream, await filesOf(store, format, definition.path))
  }
  for (const file of path === undefined ? [] : await filesOf(store, format, path)) {
    const name = streamName(file.path, format)
    const other = streams.get(name)?.[0]
    if (defined.some(({ stream }) => stream === name)) continue
    if (other) {
      throw new NebulaError('config_invalid', {
        message: `${other.path} and ${file.path} would both be the stream ${name}.`,
        fix: 'Rename one of them, or define a stream with a path of its own.',
      })
    }
    streams.set(name, [file])
  }
  return streams
}

/** The files that a path or glob names. Throws `file_not_found` when there is nothing. */
async function filesOf(store: Store, format: Format, path: string): Promise<StoredFile[]> {
  const files = await store.list(path, fileExtensions(format))
  if (files) return files
  const what = /[*?[{]/.test(path) ? 'No file matches' : 'There is no file or folder'
  throw new NebulaError('file_not_found', { message: `${what} ${path}.`, place: path })
}
