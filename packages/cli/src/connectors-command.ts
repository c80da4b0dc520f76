import type { Connector } from '@nebula/core'
import { Command } from 'commander'
import { table } from './style.ts'

/** Connectors that Nebula's own packages bring; others are found by their package name. */
const OWN = ['csv', 'mongo', 'postgres']

export function connectorsCommand(): Command {
  return new Command('connectors')
    .description('list the connectors that are installed, or the keys of one')
    .argument('[connector]', 'name of a connector, or a package')
    .option('--json', 'print as JSON')
    .addHelpText('after', '\nExamples:\n  nebula connectors\n  nebula connectors --json\n  nebula connectors postgres')
    .action(connectors)
}

/** What a connector's configuration may say. */
async function keysOf(name: string, flags: { readonly json?: boolean }): Promise<void> {
  const [{ jsonSchemaOf }, { configOptions }, { loadConnector }] = await Promise.all([
    import('@nebula/core'),
    import('@nebula/inspect'),
    import('@nebula/runtime'),
  ])
  const options = configOptions(jsonSchemaOf((await loadConnector(name, process.cwd())).config))
  const rows = options.map(({ key, initial, description }) => [key, initial, description])
  process.stdout.write(`${flags.json ? JSON.stringify(options) : table([['key', 'default', ''], ...rows], 3)}\n`)
}

/** Nebula's own connectors that are installed here. */
export async function installedConnectors(): Promise<Connector[]> {
  const [{ isNebulaError }, { loadConnector }] = await Promise.all([import('@nebula/core'), import('@nebula/runtime')])
  const loaded = OWN.map((name) =>
    loadConnector(name, process.cwd()).catch((error: unknown) => {
      if (!isNebulaError(error, 'connector_not_found')) throw error
      return undefined
    }),
  )
  return (await Promise.all(loaded)).filter((connector) => connector !== undefined)
}

async function connectors(name: string | undefined, flags: { readonly json?: boolean }): Promise<void> {
  if (name !== undefined) return keysOf(name, flags)
  const [{ isNebulaError }, { loadConnector }] = await Promise.all([import('@nebula/core'), import('@nebula/runtime')])
  const found = await Promise.all(
    OWN.map(async (name) => {
      try {
        const { version, source, destination } = await loadConnector(name, process.cwd())
        return { name, version, installed: true, source: source !== undefined, destination: destination !== undefined }
      } catch (error) {
        if (!isNebulaError(error, 'connector_not_found')) throw error
        return { name, installed: false, install: error.fix }
      }
    }),
  )
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(found)}\n`)
    return
  }
  const rows = found.map((connector) =>
    connector.installed
      ? [
          connector.name,
          connector.version ?? '',
          connector.source ? 'source' : '',
          connector.destination ? 'destination' : '',
        ]
      : [connector.name, 'not installed', connector.install ?? '', ''],
  )
  process.stdout.write(`${table(rows, 4)}\n`)
}
