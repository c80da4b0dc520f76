// Fails on what the architecture forbids: a wrong package direction, an undeclared import, a package or README out of bounds.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..', 'packages')
const scope = '@nebula/'

/** What the sources of each package may import from the others; a package that is not named may import nothing. */
const allowed = {
  core: [],
  base: ['core'],
  transforms: ['core'],
  config: ['core'],
  runtime: ['core', 'base', 'config', 'transforms'],
  inspect: ['core', 'base', 'runtime'],
  operations: ['core', 'base', 'runtime'],
  verify: ['core', 'base', 'runtime', 'transforms'],
  cli: ['runtime', 'inspect', 'operations', 'verify', 'core', 'base'],
  formats: ['core'],
  files: ['core', 'base', 'formats'],
  sql: ['core', 'base'],
  'connector-csv': ['core', 'base', 'files', 'formats', 'runtime'],
  'connector-mongo': ['core', 'base', 'formats', 'runtime'],
  'connector-postgres': ['core', 'base', 'formats', 'sql', 'runtime'],
  testkit: ['core', 'base', 'config', 'runtime'],
}
const withoutNode = ['core', 'formats']
/** Lines of source, comments and blank lines included. */
const maxLines = { 'connector-mongo': 1801, 'connector-postgres': 1500, runtime: 3000 }
const sections = 'Example, Options, Server side, Type map, Delivery and restart, Errors, Throughput, Limits'.split(', ')
const specifier = /^(?:import|export)\b[^'"]*?\bfrom '([^'.][^']*)'|^import '([^'.][^']*)'|\bimport\('([^'.][^']*)'\)/gm

function* checkPackage(name) {
  const folder = join(root, name)
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const dependencies = { ...manifest.dependencies, ...manifest.peerDependencies }
  for (const target of Object.keys(dependencies)) {
    if (isForbidden(name, target)) yield `package.json: ${name} must not depend on ${target}`
  }
  let total = 0
  for (const file of readdirSync(join(folder, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue
    const text = readFileSync(join(folder, 'src', file), 'utf8')
    const lines = text.trimEnd().split('\n').length
    total += lines
    for (const problem of checkImports(name, text, dependencies)) yield `src/${file}: ${problem}`
    if (isConnector(name) && file === 'index.ts' && lines > 25) yield `src/index.ts: ${lines} lines, at most 25`
  }
  if (total > (maxLines[name] ?? Infinity)) yield `${total} lines, at most ${maxLines[name]}`
  if (isConnector(name)) yield* checkReadme(join(folder, 'README.md'))
}

const isConnector = (name) => name.startsWith('connector-')
const isForbidden = (name, target) => target.startsWith(scope) && !allowed[name]?.includes(target.slice(scope.length))

function* checkImports(name, text, dependencies) {
  for (const [, from, effect, dynamic] of text.matchAll(specifier)) {
    const [first, second] = (from ?? effect ?? dynamic).split('/')
    const target = first.startsWith('@') ? `${first}/${second}` : first
    if (target.startsWith('node:')) {
      if (withoutNode.includes(name)) yield `${name} does no I/O, so not ${target}`
    } else if (isForbidden(name, target)) yield `${name} must not import ${target}`
    else if (!(target in dependencies)) yield `${target} is not in dependencies`
  }
}

function* checkReadme(path) {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : []
  const heads = lines.filter((line) => line.startsWith('## ')).map((line) => line.slice(3))
  if (heads.join() !== sections.join()) yield `README.md: its sections must be ${sections.join(', ')}`
  const first = lines.findIndex((line) => line.startsWith('## '))
  if (!lines.slice(0, first + 1).some((line) => line.startsWith('|')))
    yield 'README.md: no capability table before the first section'
  if (lines.length > 120) yield `README.md: ${lines.length} lines, at most 120`
}

const problems = readdirSync(root).flatMap((name) =>
  [...checkPackage(name)].map((problem) => `packages/${name}: ${problem}`),
)
for (const problem of problems) console.error(problem)
console.error(`boundaries: ${problems.length === 0 ? 'kept' : `${problems.length} broken`}`)
process.exitCode = problems.length === 0 ? 0 : 1
