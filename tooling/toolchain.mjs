// Brings what the commands need: Node, pnpm, the dependencies, the built packages.
// Plain JavaScript without dependencies, because an older Node runs it before anything is installed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const toolchain = join(root, '.toolchain')
const NODE_MAJOR = 24
const NODE_VERSION = '24.21.0'
const PNPM_VERSION = readJson(join(root, 'package.json')).packageManager.replace('pnpm@', '')
const LOCK_STALE_MS = 15 * 60_000

/** A failure whose text is all that the user needs to see. */
export class SetupError extends Error {}

/** Standard output belongs to the command; what is said here goes to standard error. */
export function say(text) {
  process.stderr.write(`setup: ${text}\n`)
}

/** Returns the path of a Node that is new enough; installs one where this one is not. */
export function ensureNode() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return process.execPath
  const [native, wrapper] = nodePackages()
  const find = () => [native, wrapper].map(nodeIn).find((path) => path !== undefined)
  const found = find()
  if (found !== undefined) return found
  return locked(() => {
    const other = find()
    if (other !== undefined) return other
    say(
      `Node ${process.versions.node} is older than ${NODE_MAJOR}: installing Node ${NODE_VERSION} from npm into .toolchain`,
    )
    // The platform's package is the program itself; the wrapper needs an install script to fetch the same.
    const install = (name) => npmInstall('node', `${name}@${NODE_VERSION}`)
    if (install(native) !== 0 && install(wrapper) !== 0) {
      throw new SetupError(
        `Node ${NODE_VERSION} could not be installed from npm. Install Node ${NODE_MAJOR} and try again.`,
      )
    }
    const path = find()
    if (path === undefined)
      throw new SetupError(`The Node ${NODE_VERSION} from npm does not run here. Install Node ${NODE_MAJOR}.`)
    writeFileSync(join(toolchain, 'node', 'works'), path)
    return path
  })
}

function nodePackages() {
  const prefix = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'
  return [`${prefix}-${process.platform}-${process.arch}`, 'node']
}

function nodeIn(name) {
  const path = join(toolchain, 'node', 'node_modules', name, 'bin', 'node')
  if (!existsSync(path)) return undefined
  const works = join(toolchain, 'node', 'works')
  if (existsSync(works) && readFileSync(works, 'utf8') === path) return path
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
  return stdout?.trim() === `v${NODE_VERSION}` ? path : undefined
}

/** Installs one package into a folder of .toolchain and returns npm's exit code. */
function npmInstall(folder, specifier) {
  const prefix = join(toolchain, folder)
  mkdirSync(prefix, { recursive: true })
  const npm = process.env.npm_execpath ?? ''
  const [command, ...first] = npm.endsWith('npm-cli.js') ? [process.execPath, npm] : ['npm']
  const flags = [
    '--no-save',
    '--no-package-lock',
    '--no-audit',
    '--no-fund',
    '--engine-strict=false',
    '--loglevel=error',
  ]
  const { status, stderr, error } = spawnSync(command, [...first, 'install', '--prefix', prefix, ...flags, specifier], {
    cwd: prefix,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  })
  if (error !== undefined) throw new SetupError(`npm did not start: ${error.message}`)
  if (status !== 0) process.stderr.write(stderr)
  return status
}

/** Installs the dependencies where a manifest or the lock file changed since the last time. */
export function ensureDependencies(node) {
  const stamp = join(root, 'node_modules', '.nebula-installed')
  const current = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === manifestHash()
  if (current()) return
  locked(() => {
    if (current()) return
    const [command, ...first] = ensurePnpm(node)
    say('installing dependencies with pnpm')
    const env = { ...environment(node), CI: 'true' }
    const args = [...first, 'install', '--frozen-lockfile']
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    })
    if (status !== 0) {
      process.stderr.write(`${stdout}${stderr}`)
      throw new SetupError('The dependencies could not be installed; pnpm says why above.')
    }
    writeFileSync(stamp, manifestHash())
  })
}

function ensurePnpm(node) {
  const own = join(toolchain, 'pnpm', 'node_modules', 'pnpm', 'bin', 'pnpm.mjs')
  if (existsSync(own) && readJson(join(own, '../../package.json')).version === PNPM_VERSION) return [node, own]
  const env = { ...environment(node), COREPACK_ENABLE_NETWORK: '0' }
  const { stdout } = spawnSync('pnpm', ['--version'], {
    cwd: tmpdir(),
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  if (stdout?.trim() === PNPM_VERSION) return ['pnpm']
  say(`installing pnpm ${PNPM_VERSION} from npm into .toolchain`)
  if (npmInstall('pnpm', `pnpm@${PNPM_VERSION}`) !== 0)
    throw new SetupError(`pnpm ${PNPM_VERSION} could not be installed from npm.`)
  return [node, own]
}

function manifestHash() {
  const packages = packageNames().map((name) => join('packages', name, 'package.json'))
  const hash = createHash('sha256')
  for (const file of ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', ...packages]) {
    const path = join(root, file)
    if (existsSync(path)) hash.update(file).update('\0').update(readFileSync(path)).update('\0')
  }
  return hash.digest('hex')
}

/** Compiles what changed since the last build. */
export function build(node) {
  const stamp = join(toolchain, 'built')
  const current = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceHash()
  if (current()) return
  locked(() => {
    if (current()) return
    if (!existsSync(stamp)) say('building the packages')
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const { status } = spawnSync(node, [tsc, '-b'], { cwd: root, env: environment(node), stdio: ['ignore', 2, 2] })
    if (status !== 0) throw new SetupError('The packages could not be built; the compiler says why above.')
    writeFileSync(stamp, sourceHash())
  })
}

/** Stands for what a build reads, by size and time of change, and for that its output is there. */
function sourceHash() {
  const hash = createHash('sha256').update(readFileSync(join(root, 'tsconfig.base.json')))
  for (const name of packageNames()) {
    const folder = join(root, 'packages', name)
    hash
      .update(`${name} ${existsSync(join(folder, 'dist', 'index.js'))}\n`)
      .update(readFileSync(join(folder, 'tsconfig.json')))
    if (!existsSync(join(folder, 'src'))) continue
    for (const file of readdirSync(join(folder, 'src'), { recursive: true, encoding: 'utf8' }).sort()) {
      const { mtimeMs, size } = statSync(join(folder, 'src', file))
      hash.update(`${file} ${mtimeMs} ${size}\n`)
    }
  }
  return hash.digest('hex')
}

function packageNames() {
  const folder = join(root, 'packages')
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'package.json')))
    .sort()
}

/** The environment in which tools find this Node, pnpm and each other. */
export function environment(node) {
  const path = [
    dirname(node),
    join(root, 'node_modules', '.bin'),
    join(toolchain, 'pnpm', 'node_modules', '.bin'),
    process.env.PATH,
  ]
  return { ...process.env, PATH: path.join(delimiter), TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }
}

/** Runs `work` while no other launcher of this checkout changes anything. The lock of a dead process is taken over. */
function locked(work) {
  const lock = join(toolchain, 'lock')
  mkdirSync(toolchain, { recursive: true })
  for (let waited = 0; !takeLock(lock); waited++) {
    if (waited === 50) say('waiting for another launcher to finish')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  }
  try {
    return work()
  } finally {
    rmSync(lock, { recursive: true, force: true })
  }
}

function takeLock(lock) {
  const owner = join(lock, 'pid')
  try {
    mkdirSync(lock)
    writeFileSync(owner, String(process.pid))
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  if (isStale(lock, owner)) {
    const aside = `${lock}-${process.pid}`
    try {
      renameSync(lock, aside)
      rmSync(aside, { recursive: true, force: true })
    } catch {
      // Another launcher was faster.
    }
  }
  return false
}

function isStale(lock, owner) {
  try {
    const age = Date.now() - statSync(lock).mtimeMs
    if (age > LOCK_STALE_MS) return true
    // The owner writes its id right after it made the folder.
    const pid = existsSync(owner) ? readFileSync(owner, 'utf8') : ''
    if (pid === '') return age > 5_000
    process.kill(Number(pid), 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'))
}
