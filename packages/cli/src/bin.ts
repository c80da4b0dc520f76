#!/usr/bin/env node
// Only what the fastest verb needs is loaded here: everything else comes when it is used.
// Not all of a version that is too old has: what is missing in it must not be imported by name.
import module from 'node:module'
import { guardOutput } from './output.ts'

const { version } = module.createRequire(import.meta.url)('../package.json') as { version: string }
guardOutput()
const [verb] = process.argv.slice(2)
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`error: nebula needs Node 22.18 or newer, and this is ${process.versions.node}.\n`)
  process.exitCode = 2
} else if (process.argv.length === 3 && ['version', '--version', '-V'].includes(verb ?? '')) {
  process.stdout.write(`nebula ${version}\n`)
} else {
  // What was compiled once starts sooner the next time; where it cannot be kept, nothing is said.
  module.enableCompileCache()
  const { main } = await import('./main.ts')
  process.exitCode = await main(process.argv.slice(2), version)
}
