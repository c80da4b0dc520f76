import { Command, Option } from 'commander'
import type { PipelineFlags } from './run-command.ts'
import { commaSeparated, pipelineOf, positive } from './run-command.ts'

const EXAMPLES = `
Examples:
  nebula verify shop.yaml
  nebula verify shop.yaml --streams 'public.*' --json
  nebula verify --from '\${SOURCE_URL}' --to csv:./out

Compares, by count and by checksums that do not depend on the order of rows, what the pipeline says should have arrived
with what the targets hold, and names the keys of rows that differ. Each end is read as it is at one moment: what changed
since the run is a difference. In mode append a target may hold more. Nothing is written.
Exit codes: 0 equal, 4 different.`

export function verifyCommand(finished: (exitCode: number) => void): Command {
  return new Command('verify')
    .description('compare source and destination, and name the rows that differ')
    .argument('[file]', 'pipeline file (YAML)')
    .option('--from <source>', 'CONNECTOR:PATH-OR-URL, a URL, or a path')
    .option('--to <destination>', 'the same')
    .addOption(new Option('--mode <mode>', 'how the rows were written').choices(['overwrite', 'append']))
    .option('--streams <names>', 'only these, by name or glob, separated by commas', commaSeparated)
    .option('--parallel <n>', 'partitions read at once (default: the cores)', positive)
    .option('--env-file <file>', 'set variables from a file of NAME=VALUE lines')
    .option('--json', 'print the report as JSON')
    .option('--debug', 'errors with their causes and stack')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, flags: PipelineFlags) => {
      const { runVerify } = await import('./run-verify.ts')
      const pipeline = await pipelineOf('verify', file, flags)
      const stop = new AbortController()
      const interrupt = (): void => stop.abort()
      process.once('SIGINT', interrupt).once('SIGTERM', interrupt)
      try {
        finished(await runVerify(pipeline, stop.signal, flags.json === true))
      } finally {
        process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
      }
    })
}
