import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Usage {
  /** Without those in which it prepared something, as `preparedSeconds` of the JSON that it printed. */
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakBytes: number
  readonly stdout: string
}

export interface Command {
  /** Script and arguments for Node. */
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** The one that is no failure; 0 if left out. */
  readonly exitCode?: number
  readonly nodeFlags?: readonly string[]
}

const PRELOAD = new URL('usage.mjs', import.meta.url).href

export function benchFile(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}

/** Runs a Node script as a whole process, from start to exit, and says what it used. Throws when it fails. */
export async function measure(command: Command): Promise<Usage> {
  const folder = await mkdtemp(join(tmpdir(), 'nebula-usage-'))
  const usageFile = join(folder, 'usage.json')
  const began = performance.now()
  const child = spawn(process.execPath, ['--import', PRELOAD, ...(command.nodeFlags ?? []), ...command.args], {
    cwd: command.cwd ?? folder,
    env: { ...process.env, NODE_OPTIONS: '', ...command.env, NEBULA_USAGE: usageFile },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const seconds = (performance.now() - began) / 1000
  if (code !== (command.exitCode ?? 0))
    throw new Error(`${command.args.join(' ')} exited with ${code}:\n${stderr}${stdout}`)
  const { cpuSeconds, peakBytes } = JSON.parse(await readFile(usageFile, 'utf8')) as Usage
  await rm(folder, { recursive: true })
  const prepared = Number(/"preparedSeconds":([\d.]+)/.exec(stdout)?.[1] ?? 0)
  return { seconds: seconds - prepared, cpuSeconds, peakBytes, stdout }
}
