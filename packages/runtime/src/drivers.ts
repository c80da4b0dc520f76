import type { DestinationDriver, SourceDriver } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Endpoint } from './pipeline.ts'

/** Constructs a driver to read with, and connects nothing. Throws `unsupported` when the connector has none. */
export function sourceDriver({ connector, config }: Endpoint): SourceDriver {
  if (!connector.source) throw cannot(connector.name, 'be read from')
  return connector.source(config)
}

/** Constructs a driver to write with, and connects nothing. Throws `unsupported` when the connector has none. */
export function destinationDriver({ connector, config }: Endpoint): DestinationDriver {
  if (!connector.destination) throw cannot(connector.name, 'be written to')
  const driver = connector.destination(config)
  // Its runs would never end: each would go on with the one before, and find nothing to do.
  if (driver.recall && !driver.end) throw cannot(connector.name, 'end the runs that it recalls')
  return driver
}

function cannot(connector: string, what: string): NebulaError {
  return new NebulaError('unsupported', { message: `The connector ${connector} cannot ${what}.`, connector })
}
