import type { Subject } from './subject.ts'

/** Why a check of sources says nothing of a subject. */
export function needsSource({ connector, create }: Subject): string | undefined {
  if (!connector.source) return 'it is no source'
  return connector.destination || create ? undefined : 'it is only a source, and `create` is left out'
}

/** Why a check that writes, and looks at what is there then, says nothing of a subject. */
export function needsDestination({ connector, contents }: Subject): string | undefined {
  if (!connector.destination) return 'it is no destination'
  return connector.source || contents ? undefined : 'it is only a destination, and `contents` is left out'
}
