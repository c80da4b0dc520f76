import { Command } from 'commander'
import type { PipelineFlags } from './pipeline-flags.ts'
import { commonOptions, pipelineOf, pipelineOptions, positive } from './pipeline-flags.ts'

const EXAMPLES = `
Examples:
  nebula verify shop.yaml
  nebula verify shop.yaml --streams 'public.*' --json
  nebula verify --from '\${SOURCE_URL}' --to csv:./out

Compares, by count and by checksums that do not depend on the order of rows, what the pipeline says should have arrived
with what the targets hold, and names the keys of rows that differ. Each end is read as it is at one moment: what changed
since the run is a difference. In modes append and merge a target may hold more, unless
the stream says deletes: hard. Nothing is written.
Exit codes: 0 equal, 4 different.`

export function verifyCommand(finished: (exitCode: number) => void): Command {
  const command = new Command('verify').description('compare source and destination, and name the rows that differ')
  return commonOptions(
    pipelineOptions(command, 'how the rows were written').option(
      '--parallel <n>',
      'partitions read at once (default: the cores)',
      positive,
    ),
    'print the report as JSON',
  )
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
