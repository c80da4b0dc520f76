import { Command } from 'commander'
import { installedConnectors } from './connectors-command.ts'

const EXAMPLES = `
Examples:
  nebula schema > nebula.schema.json          of pipeline files, with the connectors that are installed
  nebula schema postgres > postgres.schema.json   of a connector's file

An editor checks a file whose first line is
  # yaml-language-server: $schema=./nebula.schema.json`

export function schemaCommand(): Command {
  return new Command('schema')
    .description('print the JSON Schema of pipeline files, or of the file of a connector')
    .argument('[connector]', 'name of a connector, or a package')
    .option('--json', 'print in one line')
    .option('--debug', 'errors with their causes and stack')
    .addHelpText('after', EXAMPLES)
    .action(schema)
}

async function schema(name: string | undefined, flags: { readonly json?: boolean }): Promise<void> {
  const [{ connectorFileSchema, pipelineFileSchema }, { loadConnector }] = await Promise.all([
    import('@nebula/inspect'),
    import('@nebula/runtime'),
  ])
  const found =
    name === undefined
      ? pipelineFileSchema(await installedConnectors())
      : connectorFileSchema(await loadConnector(name, process.cwd()))
  process.stdout.write(`${JSON.stringify(found, null, flags.json ? undefined : 2)}\n`)
}
