import { Command } from 'commander'
import { style, table } from './style.ts'

const EXAMPLES = `
Examples:
  nebula explain                     every code, with the exit code that it brings
  nebula explain loss_refused
  nebula explain loss_refused --json`

export function explainCommand(): Command {
  return new Command('explain')
    .description('say what an error code means, when it is normal, and what fixes it')
    .argument('[code]', 'the code behind "error"; left out: lists all codes')
    .option('--json', 'print as JSON')
    .addHelpText('after', EXAMPLES)
    .action(explain)
}

async function explain(code: string | undefined, flags: { readonly json?: boolean }): Promise<void> {
  const [{ ERROR_CODES, NebulaError }, { nearest }] = await Promise.all([
    import('@nebula/core'),
    import('@nebula/runtime'),
  ])
  const known = Object.entries(ERROR_CODES).map(([name, text]) => ({ code: name, ...text }))
  const asked = code?.trim().toLowerCase().replaceAll('-', '_')
  const found = known.find((entry) => entry.code === asked)
  if (code !== undefined && !found) {
    const near = nearest(asked ?? '', Object.keys(ERROR_CODES))
    throw new NebulaError('usage', {
      message: `There is no error code ${code}${near === undefined ? '' : `; did you mean ${near}?`}`,
      fix: 'nebula explain lists all codes.',
    })
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(found ?? known)}\n`)
  else if (found) process.stdout.write(`${entryText(found)}\n`)
  else
    process.stdout.write(`${table([['code', 'exit', ''], ...known.map((e) => [e.code, String(e.exit), e.what])], 3)}\n`)
}

function entryText(entry: {
  readonly code: string
  readonly exit: number
  readonly retryable: boolean
  readonly what: string
  readonly normal: string
  readonly fix: string
}): string {
  const { code, exit, retryable, what, normal, fix } = entry
  const bold = (text: string): string => style('bold', text, process.stdout)
  return [
    `${bold(code)} (exit code ${exit}${retryable ? ', may succeed when it is tried again' : ''})`,
    what,
    `${bold('when it is normal:')} ${normal}`,
    `${bold('what to do:')} ${fix}`,
  ].join('\n')
}
