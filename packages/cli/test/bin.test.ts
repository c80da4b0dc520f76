import { execFile, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))

function run(
  args: readonly string[],
  nodeArgs: readonly string[] = [],
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=source', ...nodeArgs, BIN, ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr })
    })
  })
}

describe('bin', () => {
  test.each(['version', '--version', '-V'])(
    '%s prints the version of the package, and loads nothing for it',
    async (arg) => {
      const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as {
        version: string
      }
      // Whatever else were imported could not be: commander is no builtin.
      const refusing = `data:text/javascript,import{registerHooks}from'node:module';registerHooks({resolve(s,c,n){if(s==='commander'||s.includes('main.ts'))throw new Error('loaded '+s);return n(s,c)}})`
      expect(await run([arg], ['--import', refusing])).toEqual({ code: 0, stdout: `nebula ${version}\n`, stderr: '' })
    },
  )

  test.each([
    ['22.17.9', 2],
    ['20.20.2', 2],
    ['22.18.0', 0],
    ['25.0.0', 0],
  ])('on Node %s ends with %i', async (version, expected) => {
    const older = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`
    const { code, stderr } = await run(['version'], ['--import', older])
    expect([code, stderr.includes(`22.18 or newer, and this is ${version}`)]).toEqual([expected, expected === 2])
  })

  test('passes arguments on, and ends with the exit code', async () => {
    const { code, stderr } = await run(['run'])
    expect(code).toBe(2)
    expect(stderr).toContain('error usage')
    expect((await run(['run', '--help'])).stdout).toContain('Usage: nebula run')
  })

  test('ends well when nobody reads its output any more', async () => {
    const child = spawn(process.execPath, ['--conditions=source', BIN, 'schema'], { stdio: ['ignore', 'pipe', 'pipe'] })
    // More than a pipe holds is printed, so that some of it meets a closed end.
    child.stdout.destroy()
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const code = await new Promise((resolve) => child.once('close', resolve))
    expect([code, stderr]).toEqual([0, ''])
  })
})
