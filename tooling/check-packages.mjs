// Packs every published package as a release would, and checks each tarball: publint, are-the-types-wrong, our own rules.
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const packages = join(import.meta.dirname, '..', 'packages')
const target = mkdtempSync(join(tmpdir(), 'nebula-pack-'))

/** Returns what is wrong with the package, as texts. */
async function check(name) {
  const cwd = join(packages, name)
  if (JSON.parse(readFileSync(join(cwd, 'package.json'), 'utf8')).private === true) return []
  const { stdout } = await run('pnpm', ['pack', '--json', '--pack-destination', target], { cwd })
  const { filename } = JSON.parse(stdout.slice(stdout.search(/^[[{]/m)))
  const [manifest, files, ...byTools] = await Promise.all([
    run('tar', ['-xOzf', filename, 'package/package.json']),
    run('tar', ['-tzf', filename]),
    checkBy('publint', ['--strict', filename]),
    checkBy('attw', ['--profile', 'esm-only', '--no-color', '--no-emoji', filename]),
  ])
  return [...checkManifest(manifest.stdout), ...checkFiles(files.stdout), ...byTools.flat()]
}

function checkManifest(text) {
  const unresolved = ['"workspace:', '"catalog:', '"source"'].filter((part) => text.includes(part))
  return unresolved.map((part) => `package.json still has ${part}`)
}

function checkFiles(text) {
  const needed = ['package/LICENSE', 'package/dist/index.js', 'package/dist/index.d.ts']
  const unwanted = text.split('\n').filter((file) => /\/test\/|tsbuildinfo|\.tgz$/.test(file))
  return [
    ...needed.filter((file) => !text.includes(`${file}\n`)).map((file) => `${file} is missing`),
    ...unwanted.map((file) => `${file} does not belong there`),
  ]
}

async function checkBy(tool, args) {
  try {
    await run(tool, args)
    return []
  } catch (error) {
    return [`${tool}:\n${error.stdout}${error.stderr}`]
  }
}

try {
  for (const name of readdirSync(packages)) {
    const problems = await check(name)
    console.log(`${problems.length === 0 ? 'ok  ' : 'FAIL'} @nebula/${name}`)
    for (const problem of problems) console.log(problem)
    if (problems.length > 0) process.exitCode = 1
  }
} finally {
  rmSync(target, { recursive: true, force: true })
}
