import { createContext, Managed } from '@nebula/base'
import type { Context, DestinationDriver, SourceDriver } from '@nebula/core'
import { NebulaError, toNebulaError } from '@nebula/core'
import type { Endpoint } from '@nebula/runtime'

interface Roles {
  readonly source: SourceDriver
  readonly destination: DestinationDriver
}

/** Opens one end, works with it, and closes it. Throws `unsupported` where the connector does not play that part. */
export async function withEnd<Role extends keyof Roles, Result>(
  { connector, config }: Endpoint,
  role: Role,
  work: (driver: Roles[Role], context: Context) => Promise<Result>,
): Promise<Result> {
  const create = connector[role] as ((own: typeof config) => Roles[Role]) | undefined
  if (!create) {
    const what = role === 'source' ? 'read from' : 'written to'
    throw new NebulaError('unsupported', { message: `The connector ${connector.name} cannot be ${what}.` })
  }
  const context = createContext({ signal: new AbortController().signal, config, name: connector.name })
  await using managed = new Managed(connector.name, create(config))
  try {
    return await work(await managed.open(context), context)
  } catch (error) {
    throw toNebulaError(error).at({ connector: connector.name })
  }
}
