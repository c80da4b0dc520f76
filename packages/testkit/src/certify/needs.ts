import type { Subject } from './subject.ts'

/** Why a check says nothing of a subject that cannot be read. */
export function noSource({ connector }: Subject): string | undefined {
  return connector.source ? undefined : 'it is no source'
}

/** ... that cannot be written. */
export function noDestination({ connector }: Subject): string | undefined {
  return connector.destination ? undefined : 'it is no destination'
}

/** ... whose system cannot be cut off. */
export function noServer({ server }: Subject): string | undefined {
  return server ? undefined : 'its system is no server'
}

/** Why a check of sources says nothing of a subject. */
export function needsSource(subject: Subject): string | undefined {
  const { connector, create } = subject
  if (!connector.source) return noSource(subject)
  return connector.destination || create ? undefined : 'it is only a source, and `create` is left out'
}

/** Why a check that writes, and looks at what is there then, says nothing of a subject. */
export function needsDestination(subject: Subject): string | undefined {
  const { connector, contents } = subject
  if (!connector.destination) return noDestination(subject)
  return connector.source || contents ? undefined : 'it is only a destination, and `contents` is left out'
}
