import { Command } from 'commander'
import type { PipelineFlags } from './pipeline-flags.ts'
import { commonOptions, pipelineOf, pipelineOptions, positive } from './pipeline-flags.ts'

const EXAMPLES = `
Examples:
  nebula plan shop.yaml
  nebula plan shop.yaml --json
  nebula plan --from '\${SOURCE_URL}' --to csv:./out --streams 'public.*'

Nothing is written at either end. Exit codes: 0 a run can begin, 2 problems stand against it, 3 privileges are missing.`

export function planCommand(finished: (exitCode: number) => void): Command {
  const command = new Command('plan').description(
    'say what a run would do, and all that stands against it; writes nothing',
  )
  return commonOptions(
    pipelineOptions(command, 'what happens to rows that are there')
      .option('--limit <n>', 'at most so many rows of each stream', positive)
      .option('--state <folder>', 'where the last run left its report (default: .nebula)'),
    'print the plan as JSON',
  )
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
