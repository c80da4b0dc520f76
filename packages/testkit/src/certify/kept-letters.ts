import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report, StoredLetter } from '@nebula/runtime'

/** The rows that a run kept because they could not arrive. */
export async function keptLetters({ deadLetters }: Report): Promise<StoredLetter[]> {
  if (deadLetters === undefined) return []
  const names = await readdir(deadLetters, { recursive: true })
  const files = names.filter((name) => name.endsWith('.jsonl'))
  const texts = await Promise.all(files.map((name) => readFile(join(deadLetters, name), 'utf8')))
  return texts.flatMap((text) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as StoredLetter),
  )
}
