import { CHECKPOINTS, RESERVED_NAME } from '@nebula/base'
import type { Problem, TargetCheck, TargetRequest } from '@nebula/core'
import type { Document } from 'mongodb'
import type { Link, Namespace } from './connection.ts'
import type { CollectionInfo } from './catalog.ts'
import { SYSTEM_DATABASES } from './catalog.ts'
import { findNamed, spell } from './staging.ts'

export type NamedTarget = TargetRequest & Namespace

/** What is done in the database of a target, with collections of any name; and with that of checkpoints. */
const NEEDED = 'find insert remove createCollection createIndex renameCollectionSameDB dropCollection'.split(' ')
const KEPT = ['find', 'insert', 'update', 'remove']
/** Of `database.collection`. */
const LONGEST_NAME = 255
const LONGEST_DATABASE = 63

interface Privilege {
  readonly resource: { readonly db?: string; readonly collection?: string; readonly anyResource?: boolean }
  readonly actions: readonly string[]
}

/** Which targets cannot be collections, or cannot be written, and what the user may not do; `checkpoints` is a database. */
export async function checkTargets(
  link: Link,
  targets: readonly NamedTarget[],
  checkpoints: string,
): Promise<TargetCheck[]> {
  const granted = await privileges(link)
  const faults = targets.map(nameFault)
  const sound = targets.filter((_, i) => faults[i] === undefined)
  const standing = await findNamed(link, sound)
  return targets.map((target, i) => {
    const fault = faults[i] ?? kindFault(standing.shift(), target)
    const message = `The target ${target.target} ${fault}.`
    const needed = target.mode === 'merge' ? [...NEEDED, 'update'] : NEEDED
    const denied = missing(granted, target.database, undefined, needed)
    // Of the run as a whole, so it is told once.
    if (i === 0) denied.push(...missing(granted, checkpoints, CHECKPOINTS, KEPT))
    const problems = denied.map((what): Problem => ({ code: 'permission_denied', message: `The user lacks ${what}.` }))
    if (fault !== undefined) problems.unshift({ code: 'target_incompatible', message })
    return { identity: spell(target), problems }
  })
}

/** Why a name is none of a collection (MongoDB limits, "Naming Restrictions"); undefined when it is one. */
function nameFault({ database, collection }: Namespace): string | undefined {
  if (database === '') return 'names no database: write database.collection, or a url with a database'
  if (collection === '') return 'is empty'
  if (/[/\\. "$*<>:|?\0]/.test(database)) return 'names a database with a character that MongoDB does not allow in one'
  if (Buffer.byteLength(database) > LONGEST_DATABASE) return `names a database with more than ${LONGEST_DATABASE} bytes`
  if (SYSTEM_DATABASES.includes(database)) return 'lies in a database that MongoDB keeps for itself'
  if (/[$\0]/.test(collection)) return 'holds a $ or a NUL, which MongoDB does not allow'
  if (collection.startsWith('system.')) return 'has a name that MongoDB keeps for itself'
  if (RESERVED_NAME.test(collection)) return 'has a name that Nebula keeps for itself'
  const bytes = Buffer.byteLength(`${database}.${collection}`)
  return bytes > LONGEST_NAME ? `is ${bytes} bytes long with its database; MongoDB keeps ${LONGEST_NAME}` : undefined
}

function kindFault(standing: CollectionInfo | undefined, { mode, deletes }: TargetRequest): string | undefined {
  if (standing?.type === 'view') return 'is a view'
  // Its documents are kept by time, not by _id: a repeated one could not be told from another.
  if (standing?.type === 'timeseries')
    return 'is a time-series collection, into which rows cannot be written twice safely'
  if (standing?.options['capped'] !== true) return undefined
  if (deletes) return 'is capped: nothing can be deleted in it'
  return mode === 'overwrite' ? 'is capped: it would forget rows; append to it, or drop it first' : undefined
}

/** What the user may do; undefined where nothing is known of it, or nobody has to log in. */
async function privileges({ client, signal }: Link): Promise<readonly Privilege[] | undefined> {
  const command = { connectionStatus: 1, showPrivileges: true }
  const asked = client.db('admin').command(command, { signal })
  const answer = await asked.catch((): Document => ({}))
  const { authenticatedUsers = [], authenticatedUserPrivileges } = (answer['authInfo'] ?? {}) as {
    authenticatedUsers?: unknown[]
    authenticatedUserPrivileges?: Privilege[]
  }
  return authenticatedUsers.length > 0 ? authenticatedUserPrivileges : undefined
}

/** Left out, `collection` is any. */
function missing(
  granted: readonly Privilege[] | undefined,
  database: string,
  collection: string | undefined,
  actions: readonly string[],
): string[] {
  if (!granted) return []
  const covers = ({ resource: { anyResource, db, collection: name } }: Privilege): boolean =>
    anyResource === true || ((db === '' || db === database) && (name === '' || (name ?? '') === collection))
  const allowed = new Set(granted.filter(covers).flatMap((privilege) => privilege.actions))
  const where = collection === undefined ? database : `${database}.${collection}`
  return actions.filter((action) => !allowed.has(action)).map((action) => `${action} on ${where}`)
}
