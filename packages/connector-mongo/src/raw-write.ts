import { createRequire } from 'node:module'
import { NebulaError } from '@nebula/core'
import { joinDocuments } from '@nebula/formats'
import type { Link, Namespace } from './connection.ts'
import { write } from './connection.ts'
import { mongoError } from './errors.ts'

/** Why the server did not take one document. */
export interface WriteError {
  /** Of the document, from 0. */
  readonly index: number
  readonly code: number
  readonly errmsg?: string
}

export const DUPLICATE_KEY = 11000

/** Throws why the server did not take a document, but for one that it has already. */
export function throwOther(errors: readonly WriteError[] = []): void {
  const other = errors.find(({ code }) => code !== DUPLICATE_KEY)
  if (other) throw mongoError(Object.assign(new Error(other.errmsg), { code: other.code }))
}

/** The field of a command in which its section stands. */
const FIELDS = { insert: 'documents', update: 'updates', delete: 'deletes' } as const

/**
 * Inserts documents that are BSON already, replaces those with their `_id`, or removes them: a section of
 * `DocumentSection` for that, which must not change until this settles. Returns what was refused, and how many others
 * there were.
 */
export async function writeRaw(
  link: Link,
  { database, collection }: Namespace,
  what: keyof typeof FIELDS,
  section: Uint8Array,
): Promise<{ readonly errors: readonly WriteError[]; readonly count: number }> {
  known ??= checkInternals(createRequire(import.meta.url)('mongodb/lib/cmap/commands.js') as Partial<Internals>)
  const field = FIELDS[what]
  const options = what === 'delete' ? {} : { bypassDocumentValidation: false }
  const command = { [what]: collection, ordered: false, ...options, [field]: rawSection(known, field, section) }
  const { writeErrors = [], n } = await write(link, database, command)
  return { errors: writeErrors as WriteError[], count: Number(n) }
}

/** What the driver has for the second section of a message; the internals that this file alone touches. */
interface Internals {
  readonly DocumentSequence: new (field: string) => { toBin(): Uint8Array }
  readonly OpMsgRequest: new (database: string, command: object, options: object) => { toBin(): Uint8Array[] }
}

let known: Internals | undefined

/** A section whose bytes the driver sends as they are. */
export function rawSection({ DocumentSequence }: Internals, field: string, bytes: Uint8Array): object {
  return Object.assign(new DocumentSequence(field), { toBin: () => bytes })
}

/** Throws `unsupported` for a driver that does not send such sections. */
export function checkInternals({ DocumentSequence, OpMsgRequest }: Partial<Internals>): Internals {
  if (DocumentSequence && OpMsgRequest) {
    const internals = { DocumentSequence, OpMsgRequest }
    const { bytes } = joinDocuments([Uint8Array.of(5, 0, 0, 0, 0)])
    const command = { documents: rawSection(internals, 'documents', bytes) }
    const message = Buffer.concat(new OpMsgRequest('probe', command, {}).toBin())
    // The header, the flags and a kind; a document with the database alone; the section.
    const section = message.subarray(21 + message.readInt32LE(21))
    if (message.length === message.readInt32LE(0) && section.equals(bytes)) return internals
  }
  throw new NebulaError('unsupported', {
    message: 'This version of the driver of MongoDB makes its messages in another way than the connector knows.',
    fix: 'Install the version of mongodb that the connector was tested with: 7.9.',
  })
}
