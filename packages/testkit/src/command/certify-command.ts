import { parseArgs } from 'node:util'
import { NebulaError, toNebulaError } from '@nebula/core'
import { GROUPS } from '../certify/check.ts'
import type { CheckResult } from '../certify/run-suite.ts'
import { runSuite } from '../certify/run-suite.ts'
import { checks, subjectOf } from '../certify/suite.ts'
import { findConnector } from './find-connector.ts'
import { readOptions } from './read-options.ts'

const HELP = `Usage: nebula-certify PACKAGE [options]

Runs the suite that certifies connectors of Nebula on the connector of a package.

  PACKAGE           a package, the name of a connector, or the path of a module that exports one
  --config FILE     the configuration of an empty place, YAML or JSON; or a module that exports \`options\`, as certify()
                    takes them: it alone can tell of a server that may be killed. Default: path: '{folder}', for
                    connectors that have a path
  --group GROUP     only these checks; may be given again: ${GROUPS.join(', ')}
  --json            print one JSON object
  --help            print this

In a configuration file, {folder} stands for an empty folder of each check, and {place} for a word that no other check
has. \${VARIABLES} are replaced.

Examples:
  nebula-certify @nebula/connector-csv
  nebula-certify nebula-connector-sqlite --config place.yaml        # path: '{folder}/test.db'
  nebula-certify ./dist/index.js --config ./test/place.js --json
  nebula-certify csv --group contract --group config

Exit codes: 0 every check that says something of the connector passed, 1 one did not, 2 usage or configuration.`

/** Where the command prints. */
export interface Output {
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
}

/** Runs one command line; returns the exit code. */
export async function certifyCommand(args: readonly string[], { stdout, stderr }: Output = process): Promise<number> {
  const json = args.includes('--json')
  try {
    const { name, config, groups, help } = readArguments(args)
    if (help) {
      stdout.write(`${HELP}\n`)
      return 0
    }
    const connector = await findConnector(name)
    const subject = subjectOf(connector, await readOptions(connector, config))
    const chosen = checks.filter(({ group }) => groups.length === 0 || groups.includes(group))
    const told = json ? undefined : (result: CheckResult) => void stdout.write(`${lineOf(result)}\n`)
    const results = await runSuite(subject, told, chosen)
    const count = (status: CheckResult['status']): number => results.filter((one) => one.status === status).length
    const [passed, failed, skipped] = [count('passed'), count('failed'), count('skipped')]
    const { version } = connector
    const summary = { connector: connector.name, version, passed, failed, skipped, checks: results }
    const counts = `${passed} passed, ${failed} failed, ${skipped} skipped`
    stdout.write(json ? `${JSON.stringify(summary)}\n` : `\n${counts}\n`)
    return failed === 0 ? 0 : 1
  } catch (thrown) {
    const error = toNebulaError(thrown)
    if (json) stdout.write(`${JSON.stringify({ error })}\n`)
    else stderr.write(`error ${error.code}: ${error.message}\n  what to do: ${error.fix}\n`)
    return error.exitCode
  }
}

function lineOf({ status, group, name, ms, reason }: CheckResult): string {
  const word = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' }[status]
  const behind = status === 'skipped' ? `: ${reason}` : ` (${ms} ms)`
  const why = status === 'failed' ? `\n       ${(reason ?? '').replaceAll('\n', '\n       ')}` : ''
  return `${word}  ${group}: ${name}${behind}${why}`
}

interface Arguments {
  readonly name: string
  readonly config: string | undefined
  readonly groups: readonly string[]
  readonly help: boolean
}

/** Throws `usage`. */
function readArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parsed(args)
  const { config, group: groups = [], help = false } = values
  const [name = '', more] = positionals
  if (!help && name === '') throw usage('Say which package.')
  if (more !== undefined) throw usage(`One package at a time; ${more} is too many.`)
  const unknown = groups.find((group) => !(GROUPS as readonly string[]).includes(group))
  if (unknown !== undefined) throw usage(`There is no group ${unknown}; there are ${GROUPS.join(', ')}.`)
  return { name, config, groups, help }
}

function parsed(args: readonly string[]) {
  const options = {
    config: { type: 'string' },
    group: { type: 'string', multiple: true },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : String(cause))
  }
}

function usage(message: string): NebulaError {
  return new NebulaError('usage', { message, fix: 'See nebula-certify --help.' })
}
