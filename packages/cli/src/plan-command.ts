import { Command, Option } from 'commander'
import type { PipelineFlags } from './run-command.ts'
import { commaSeparated, pipelineOf, positive } from './run-command.ts'

const EXAMPLES = `
Examples:
  nebula plan shop.yaml
  nebula plan shop.yaml --json
  nebula plan --from '\${SOURCE_URL}' --to csv:./out --streams 'public.*'

Nothing is written at either end. Exit codes: 0 a run can begin, 2 problems stand against it, 3 privileges are missing.`

export function planCommand(finished: (exitCode: number) => void): Command {
  return new Command('plan')
    .description('say what a run would do, and all that stands against it; writes nothing')
    .argument('[file]', 'pipeline file (YAML)')
    .option('--from <source>', 'CONNECTOR:PATH-OR-URL, a URL, or a path')
    .option('--to <destination>', 'the same')
    .addOption(new Option('--mode <mode>', 'what happens to rows that are there').choices(['overwrite', 'append']))
    .option('--streams <names>', 'only these, by name or glob, separated by commas', commaSeparated)
    .option('--limit <n>', 'at most so many rows of each stream', positive)
    .option('--state <folder>', 'where the last run left its report (default: .nebula)')
    .option('--env-file <file>', 'set variables from a file of NAME=VALUE lines')
    .option('--json', 'print the plan as JSON')
    .option('--debug', 'errors with their causes and stack')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, flags: PipelineFlags) => finished(await plan(file, flags)))
}

async function plan(file: string | undefined, flags: PipelineFlags): Promise<number> {
  const pipeline = await pipelineOf('plan', file, flags)
  const [{ planPipeline }, { planText }] = await Promise.all([import('@nebula/inspect'), import('./plan-text.ts')])
  const planned = await planPipeline(pipeline)
  process.stdout.write(flags.json ? `${JSON.stringify(planned)}\n` : `${planText(planned)}\n`)
  return planned.exitCode
}
