// Runs a command of this repository, bringing what it needs first: `node tooling/launch.mjs COMMAND [ARGUMENTS]`.
// Any Node from 20 on can run this file; the commands run on Node 24.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { build, ensureDependencies, ensureNode, environment, root, say, SetupError } from './toolchain.mjs'

const bin = (name, entry) => join(root, 'node_modules', name, entry)
const vitest = bin('vitest', 'vitest.mjs')

/** Each command: whether the packages must be built, what Node runs, and what differs from `cwd: root`. */
const commands = {
  nebula: { build: true, run: [join(root, 'packages', 'cli', 'dist', 'bin.js')], user: true },
  demo: { build: true, run: [join(root, 'examples', 'demo', 'demo.ts')] },
  bench: { build: true, run: [join(root, 'bench', 'bench.ts')] },
  certify: { build: true, run: [join(root, 'tooling', 'certify.ts')] },
  test: { run: [vitest, 'run'] },
  'test:full': { run: [vitest, 'run'], env: { NEBULA_FULL: '1' } },
  types: { build: true, run: [bin('typescript', 'bin/tsc'), '-p', 'tsconfig.test.json'] },
  packages: { build: true, run: [join(root, 'tooling', 'check-packages.mjs')] },
  docs: { run: ['--conditions=source', join(root, 'tooling', 'docs.ts')] },
  build: { build: true },
  setup: {},
  exec: {},
}

function main([name, ...args]) {
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined
  if (command === undefined)
    throw new SetupError(`Unknown command ${name ?? ''}. There are: ${Object.keys(commands).join(', ')}.`)
  const node = ensureNode()
  ensureDependencies(node)
  if (command.build === true) build(node)
  const [program, ...rest] = name === 'exec' ? args : [node, ...(command.run ?? []), ...args]
  if (name !== 'exec' && command.run === undefined) return
  const env = command.user === true ? process.env : { ...environment(node), ...command.env }
  replaceBy(program, rest, { cwd: command.user === true ? userFolder() : root, env })
}

/** Where the user is: npm runs scripts in the package's folder and says in INIT_CWD whence. */
function userFolder() {
  return process.cwd() === root ? (process.env.INIT_CWD ?? root) : process.cwd()
}

/** Runs the program as if in place of this process: same input and output, its signals, its exit code. */
function replaceBy(program, args, options) {
  const child = spawn(program, args, { ...options, stdio: 'inherit' })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) {
    // A terminal sends Ctrl-C to the whole process group, the child included.
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY ? undefined : child.kill(signal)))
  }
  child.on('error', (error) => {
    say(`${program} did not start: ${error.message}`)
    process.exitCode = 127
  })
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exitCode = code ?? 1
      return
    }
    for (const name of signals) process.removeAllListeners(name)
    process.exitCode = 128 + (constants.signals[signal] ?? 0)
    process.kill(process.pid, signal)
  })
}

try {
  main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  process.exitCode = 1
}
