import type { Catalog, StreamInfo } from '@nebula/core'
import { selectStreams } from '@nebula/runtime'

/** The stream of that name, or the only one whose last part it is. Throws `stream_not_found`, `permission_denied`. */
export function streamCalled(catalog: Catalog, name: string): StreamInfo {
  const named = catalog.streams.filter((stream) => stream.name === name)
  const parts = catalog.streams.filter((stream) => stream.name.endsWith(`.${name}`))
  const [only] = named.length === 0 && parts.length === 1 ? parts : named
  return only ?? (selectStreams(catalog, { only: [name] })[0] as { info: StreamInfo }).info
}
