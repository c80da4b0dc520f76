import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, vi } from 'vitest'
import { main } from '../src/index.ts'

/** A folder of its own for every test, gone afterwards. */
export function useFolder(): () => string {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nebula-cli-'))
  })
  afterEach(async () => {
    vi.restoreAllMocks()
    await rm(folder, { recursive: true, force: true })
  })
  return () => folder
}

export interface Printed {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `action` and catches what it prints. */
export async function printed(action: () => number | Promise<number>): Promise<Printed> {
  const texts = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      texts[name] += String(text)
      return true
    }),
  )
  try {
    return { code: await action(), ...texts }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

/** Runs one command line in this process. */
export function nebula(...args: string[]): Promise<Printed> {
  return printed(() => main(args, '1.2.3'))
}
