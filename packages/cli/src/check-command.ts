import type { CheckedEnd } from '@nebula/inspect'
import { Command } from 'commander'
import { commonOptions } from './pipeline-flags.ts'
import { countText, style } from './style.ts'

interface CheckFlags {
  readonly from?: string
  readonly envFile?: string
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  nebula check shop.yaml              both ends of a pipeline
  nebula check source.yaml            the connector of a connector's file
  nebula check --from '\${SOURCE_URL}'

Exit codes: 0 every end answers and no privilege is missing, 3 not so.`

export function checkCommand(finished: (exitCode: number) => void): Command {
  return commonOptions(
    new Command('check')
      .description('connect to the ends of a pipeline, and say whether they answer and which privileges are missing')
      .argument('[file]', 'pipeline file, or the file of a connector (YAML)')
      .option('--from <source>', 'CONNECTOR:PATH-OR-URL, a URL, or a path'),
  )
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, flags: CheckFlags) => finished(await check(file, flags)))
}

async function check(file: string | undefined, flags: CheckFlags): Promise<number> {
  const [{ endsOf }, { checkEnds }] = await Promise.all([import('./ends.ts'), import('@nebula/inspect')])
  const result = await checkEnds(await endsOf('check', file, flags))
  const text = flags.json ? JSON.stringify(result) : result.ends.map(endText).join('\n')
  process.stdout.write(`${text}\n`)
  return result.exitCode
}

function endText({
  role,
  connector,
  reachable,
  version,
  latencyMs,
  streams,
  denied = [],
  problems,
}: CheckedEnd): string {
  const facts = [
    ...(version === undefined ? [] : [version]),
    ...(latencyMs === undefined ? [] : [`answers in ${latencyMs} ms`]),
    ...(streams === undefined ? [] : [`${countText(streams)} streams to read`]),
    ...(denied.length > 0 ? [`not readable: ${denied.join(', ')}`] : []),
  ]
  const denies = problems.every(({ code }) => code === 'permission_denied')
  const state = !reachable
    ? 'does not answer'
    : problems.length === 0
      ? 'ok'
      : denies
        ? 'lacks privileges'
        : 'has problems'
  const colour = state === 'ok' ? 'green' : 'red'
  const head = `${role} ${connector}: ${style(colour, state, process.stdout)}${facts.length > 0 ? `, ${facts.join(', ')}` : ''}`
  return [head, ...problems.map(({ code, text, fix }) => `  ${code}: ${text}\n    what to do: ${fix}`)].join('\n')
}
