import { Command, CommanderError } from 'commander'
import { checkCommand } from './check-command.ts'
import { connectorsCommand } from './connectors-command.ts'
import { discoverCommand } from './discover-command.ts'
import { explainCommand } from './explain-command.ts'
import { initCommand } from './init-command.ts'
import { planCommand } from './plan-command.ts'
import { previewCommand } from './preview-command.ts'
import { dlqCommand } from './dlq-command.ts'
import { refuseLostOutput, reportError } from './report-error.ts'
import { runCommand } from './run-command.ts'
import { schemaCommand } from './schema-command.ts'
import { serveCommand } from './serve/serve-command.ts'
import { stateCommand } from './state-command.ts'
import { verifyCommand } from './verify-command.ts'

const EXAMPLES = `
Examples:
  nebula run shop.yaml                                  run a pipeline file, or go on with its interrupted run
  nebula run --from csv:./in --to '\${TARGET_URL}'       every CSV file of a folder into a database
  nebula plan shop.yaml                                 what a run would do, and all that stands against it
  nebula init postgres csv                              write a pipeline file to begin with
  nebula verify shop.yaml                               compare both ends, and name the rows that differ
  nebula discover --from '\${SOURCE_URL}'                what a source has
  nebula state show shop.yaml                           how far the last run came
  nebula dlq replay shop.yaml                           send rows that were kept aside again
  nebula explain CODE                                   what an error means, and what fixes it
  nebula run --help                                     options and more examples

Exit codes: 0 done, 1 internal, 2 configuration or usage, 3 connection, 4 data (or a difference),
            5 partial (rows kept as dead letters, or a stream failed), 130 interrupted`

/** Runs one command line; returns the exit code. */
export async function main(args: readonly string[], version: string): Promise<number> {
  let exitCode = 0
  const finished = (code: number): void => {
    exitCode = code
  }
  const program = new Command('nebula')
    .description('Moves tables between databases and files: exact, resumable, at the speed of the wire.')
    .version(`nebula ${version}`, '-V, --version', 'print the version')
    .addHelpText('after', EXAMPLES)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'nebula: ')) })
  program.addCommand(runCommand(finished))
  program.addCommand(planCommand(finished))
  program.addCommand(initCommand())
  program.addCommand(checkCommand(finished))
  program.addCommand(previewCommand())
  program.addCommand(verifyCommand(finished))
  program.addCommand(discoverCommand())
  program.addCommand(stateCommand())
  program.addCommand(dlqCommand(finished))
  program.addCommand(connectorsCommand())
  program.addCommand(schemaCommand())
  program.addCommand(explainCommand())
  program.addCommand(serveCommand())
  program
    .command('version')
    .description('print the version')
    .action(() => {
      process.stdout.write(`nebula ${version}\n`)
    })
  for (const command of program.commands.flatMap((verb) => [verb, ...verb.commands]))
    command.exitOverride().configureOutput(program.configureOutput())
  try {
    await program.parseAsync(args, { from: 'user' })
    refuseLostOutput()
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    return reportError(error, { json: args.includes('--json'), debug: args.includes('--debug') })
  }
}
