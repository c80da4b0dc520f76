import { BaseDestination, BaseSource } from '@nebula/base'
import type { Clock, Destination, Logger, Source } from '@nebula/core'
import { destinationDriver, sourceDriver } from './drivers.ts'
import { loadEndpoint } from './load-pipeline.ts'

export interface CreateOptions {
  /** Stops everything that the source or destination does. */
  readonly signal?: AbortSignal
  readonly logger?: Logger
  readonly clock?: Clock
  /** Where relative paths of the configuration, and connectors that are not registered, are looked for. */
  readonly folder?: string
}

/**
 * A source of a program: `createSource('postgres', { url })`. The keys are those of a pipeline file, in camelCase or
 * snake_case, checked and with their defaults. Connects nothing; call `initialize`. Throws `config_invalid`,
 * `connector_not_found`, `unsupported`.
 */
export async function createSource(connector: string, keys: object, options: CreateOptions = {}): Promise<Source> {
  const { folder = process.cwd(), ...shared } = options
  const endpoint = await loadEndpoint({ connector, ...keys }, folder)
  const { name } = endpoint.connector
  return new BaseSource({ ...shared, name, config: endpoint.config, driver: () => sourceDriver(endpoint) })
}

/** A destination of a program; see `createSource`. */
export async function createDestination(
  connector: string,
  keys: object,
  options: CreateOptions = {},
): Promise<Destination> {
  const { folder = process.cwd(), ...shared } = options
  const endpoint = await loadEndpoint({ connector, ...keys }, folder)
  const { name } = endpoint.connector
  return new BaseDestination({ ...shared, name, config: endpoint.config, driver: () => destinationDriver(endpoint) })
}
