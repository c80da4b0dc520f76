import type { BaseConfig, Connector } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** One per process, also when two copies of this package are installed. */
const KEY = Symbol.for('@nebula/runtime registry')

function connectors(): Map<string, Connector> {
  const home = globalThis as { [KEY]?: Map<string, Connector> }
  home[KEY] ??= new Map()
  return home[KEY]
}

/** Checks a connector and gives it its types; the first call of a package's entry. Throws `connector_invalid`. */
export function defineConnector<Config extends BaseConfig>(connector: Connector<Config>): Connector<Config> {
  const problems: string[] = []
  if (connector.contract !== 1) problems.push(`it is written for contract ${String(connector.contract)}, this is 1`)
  if (!/^[a-z][a-z0-9-]*$/.test(connector.name)) problems.push(`"${connector.name}" is no connector name (a-z, 0-9, -)`)
  if (!connector.source && !connector.destination) problems.push('it has neither a source nor a destination')
  if (problems.length > 0) {
    throw new NebulaError('connector_invalid', { message: `Connector ${connector.name}: ${problems.join('; ')}.` })
  }
  return connector
}

/** Makes a connector known by its name. The same version again is ignored; another one throws `connector_invalid`. */
export function register<Config extends BaseConfig>(connector: Connector<Config>): void {
  const known = connectors().get(connector.name)
  if (known && known.version !== connector.version) {
    throw new NebulaError('connector_invalid', {
      message: `Connector ${connector.name} is installed twice: ${known.version} and ${connector.version}.`,
      fix: 'Keep one version of the package.',
    })
  }
  // The registry hands a config only to the connector whose schema made it.
  connectors().set(connector.name, connector as unknown as Connector)
}

export function registered(name: string): Connector | undefined {
  return connectors().get(name)
}

export function registeredConnectors(): Connector[] {
  return [...connectors().values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
