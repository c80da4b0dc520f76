#!/usr/bin/env node
// Only what the fastest verb needs is loaded here: everything else comes when it is used.
import { createRequire } from 'node:module'

const { version } = createRequire(import.meta.url)('../package.json') as { version: string }
const [verb] = process.argv.slice(2)
if (process.argv.length === 3 && ['version', '--version', '-V'].includes(verb ?? '')) {
  process.stdout.write(`nebula ${version}\n`)
} else {
  const { main } = await import('./main.ts')
  process.exitCode = await main(process.argv.slice(2), version)
}
