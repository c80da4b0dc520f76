import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileError, readJsonFile } from '@nebula/base'
import type { StreamPlan } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { Pipeline, StoredLetter } from '@nebula/runtime'
import { DeadLetters } from '@nebula/runtime'

/** The dead letters of one commit. */
export interface LetterFile {
  readonly path: string
  readonly run: string
  /** When it was written, in milliseconds since 1970. */
  readonly writtenAt: number
  /** Where the rows were to go, and in which columns. */
  readonly plan: StreamPlan
  readonly letters: readonly StoredLetter[]
}

/** Which dead letters are meant; what is left out does not matter. */
export interface LetterSelection {
  readonly stream?: string | undefined
  readonly run?: string | undefined
}

/** The dead letters of a pipeline, oldest first. Throws `data_invalid` for a line that is no dead letter. */
export async function letterFiles(
  { stateFolder, name }: Pick<Pipeline, 'stateFolder' | 'name'>,
  { stream, run }: LetterSelection = {},
): Promise<LetterFile[]> {
  const root = dirname(new DeadLetters(stateFolder, name, 'any').folder)
  const files: LetterFile[] = []
  for (const id of run === undefined ? await namesIn(root) : [run]) {
    for (const folder of await namesIn(join(root, id))) {
      const plan = (await readJsonFile(join(root, id, folder, 'stream.json'))) as StreamPlan
      for (const file of await namesIn(join(root, id, folder))) {
        const path = join(root, id, folder, file)
        if (!file.endsWith('.jsonl')) continue
        const letters = (await readLetters(path)).filter((letter) => stream === undefined || letter.stream === stream)
        if (letters.length > 0) files.push({ path, run: id, writtenAt: (await stat(path)).mtimeMs, plan, letters })
      }
    }
  }
  return files.sort((a, b) => a.writtenAt - b.writtenAt || (a.path < b.path ? -1 : 1))
}

/** The dead letters of one file; none when there is no such file. */
export async function readLetters(path: string): Promise<StoredLetter[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw fileError(error, path)
  }
  return text.split('\n').flatMap((line, i) => (line.trim() === '' ? [] : letterOf(line, `${path}:${i + 1}`)))
}

/** A line may have been edited: it is only JSON again when it has what makes a dead letter. */
function letterOf(line: string, place: string): StoredLetter {
  try {
    const letter = JSON.parse(line) as Partial<StoredLetter>
    const { id, stream, stage } = letter
    if (typeof id === 'string' && typeof stream === 'string' && typeof stage === 'string') return letter as StoredLetter
  } catch {
    // Told below, like everything else that is none.
  }
  throw new NebulaError('data_invalid', {
    message: `${place} is no dead letter.`,
    fix: 'Each line is one object of JSON with an id; change only its raw or its values.',
    place,
  })
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw fileError(error, folder)
  }
}
