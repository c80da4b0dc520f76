import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TextRow } from './compare-rows.ts'
import type { SceneEnd, ScenePlace } from './scene-end.ts'
import { TABLE } from './scene-end.ts'
import { fromCsv, toCsv } from './scene-table.ts'

/** A folder of CSV files beside the pipeline file. */
export class CsvEnd implements SceneEnd {
  readonly stream = TABLE
  readonly keys: object
  readonly #folder: string
  readonly #place: ScenePlace

  constructor(place: ScenePlace) {
    const name = place.role === 'source' ? 'in' : 'out'
    this.keys = { connector: 'csv', path: `./${name}` }
    this.#folder = join(place.folder, name)
    this.#place = place
  }

  async clear(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
    await mkdir(this.#folder)
  }

  async put(rows: readonly TextRow[]): Promise<void> {
    await writeFile(this.#file, toCsv(rows, this.#place.shape.names))
  }

  /** Adds a line as it is. */
  async add(line: string): Promise<void> {
    await appendFile(this.#file, `${line}\n`)
  }

  async rows(): Promise<TextRow[]> {
    const { names } = this.#place.shape
    const files = (await readdir(this.#folder)).filter((name) => name.endsWith('.csv'))
    const texts = await Promise.all(files.map((name) => readFile(join(this.#folder, name), 'utf8')))
    return texts.flatMap((text) => fromCsv(text, names))
  }

  /** What may be left lies beside it, and is looked for there. */
  async expectNothingLeft(): Promise<void> {}

  get #file(): string {
    return join(this.#folder, `${TABLE}.csv`)
  }
}
