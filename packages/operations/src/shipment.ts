import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileError, readJsonFile, writeDurably } from '@nebula/base'
import { NebulaError } from '@nebula/core'
import type { Pipeline, StoredLetter } from '@nebula/runtime'
import { DeadLetters, fileName, letterLines, stateFile } from '@nebula/runtime'
import type { SentLetter } from './letter-source.ts'
import { letterFiles, readLetters } from './letters.ts'
import type { RunRecord } from './run-record.ts'

const VERSION = 1
const SUFFIX = '.shipment.json'

/**
 * Dead letters that are sent by one run, of a name that no other run has: what the destination knows of that run says
 * after a kill which of them arrived. It is stored before the run begins, and removed when its files were settled.
 */
export interface Shipment {
  readonly version: number
  /** The name of the pipeline that sends it. */
  readonly name: string
  /** Files of dead letters, by path. */
  readonly files: { readonly [path: string]: readonly StoredLetter[] }
}

/** Stores a new shipment durably. */
export async function storeShipment(pipeline: Pipeline, files: Shipment['files']): Promise<Shipment> {
  const name = `${pipeline.name}.replay-${randomUUID().slice(0, 8)}`
  const shipment: Shipment = { version: VERSION, name, files }
  const path = shipmentPath(pipeline, name)
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  } catch (error) {
    throw fileError(error, path)
  }
  await writeDurably(path, JSON.stringify(shipment), 0o600)
  return shipment
}

/** Shipments that were begun and not settled: their process was killed, or failed. */
export async function openShipments(pipeline: Pipeline): Promise<Shipment[]> {
  const prefix = `${fileName(pipeline.name)}.replay-`
  const names = await readdir(pipeline.stateFolder).catch(() => [])
  const isOpen = (name: string): boolean =>
    name.startsWith(prefix) && new RegExp(`^[0-9a-f]{8}${SUFFIX}$`).test(name.slice(prefix.length))
  const open = names.filter(isOpen).sort()
  return Promise.all(
    open.map(async (name) => {
      const path = join(pipeline.stateFolder, name)
      const shipment = (await readJsonFile(path)) as Shipment
      if (shipment.version <= VERSION) return shipment
      const message = `${path} has version ${shipment.version}; this Nebula reads up to ${VERSION}.`
      throw new NebulaError('state_newer', { message, place: path })
    }),
  )
}

function shipmentPath({ stateFolder, name }: Pipeline, shipment: string): string {
  return join(stateFolder, `${fileName(name)}${shipment.slice(name.length)}${SUFFIX}`)
}

/** The letters of a shipment, with the names by which they are known on their way. */
export function lettersOf({ files }: Shipment): SentLetter[] {
  return Object.entries(files).flatMap(([path, letters]) =>
    letters.map((letter) => ({ entry: entryOf(path, letter), letter })),
  )
}

function entryOf(path: string, { id }: StoredLetter): string {
  return `${path}\0${id}`
}

/** What became of the letters of a shipment. */
export interface Settled {
  readonly arrived: number
  /** With the new reason. */
  readonly failed: readonly StoredLetter[]
}

/**
 * Ends a shipment: the letters of streams that came into their targets are removed, but for those that failed again,
 * which get their new reason; of the other streams nothing arrived. Any step may be repeated after a kill.
 */
export async function settleShipment(pipeline: Pipeline, shipment: Shipment, record: RunRecord): Promise<Settled> {
  const { stateFolder } = pipeline
  const recalled = await record.recall(shipment.name)
  const finished = new Set(recalled?.finished)
  const failed = new Map<string, StoredLetter>()
  const strays: StoredLetter[] = []
  for (const { letters } of await letterFiles({ stateFolder, name: shipment.name })) {
    for (const letter of letters.filter(({ stream }) => finished.has(stream))) {
      const { entry } = letter as StoredLetter & { readonly entry?: string }
      if (entry === undefined) strays.push(letter)
      else failed.set(entry, letter)
    }
  }
  const settled = { arrived: 0, failed: [] as StoredLetter[] }
  for (const [path, sent] of Object.entries(shipment.files)) {
    const gone = new Set(sent.filter(({ stream }) => finished.has(stream)).map(({ id }) => id))
    if (gone.size === 0) continue
    const left = (await readLetters(path)).flatMap((letter) => {
      const again = failed.get(entryOf(path, letter))
      if (!gone.has(letter.id)) return [letter]
      return again ? [withReason(letter, again)] : []
    })
    // What cannot be told apart from what arrived is kept as it came.
    const kept = strays.splice(0).map((letter): StoredLetter => ({ ...letter, id: `${letter.id}.again` }))
    await writeDurably(path, letterLines([...left, ...kept]), 0o600)
    if (left.length + kept.length === 0) await rm(path, { force: true })
    const stayed = left.filter(({ id }) => gone.has(id))
    settled.arrived += gone.size - stayed.length - kept.length
    settled.failed.push(...stayed, ...kept)
  }
  await rm(shipmentPath(pipeline, shipment.name), { force: true })
  if (recalled)
    await record.discard(
      recalled,
      recalled.run.streams.map(({ request }) => request.stream),
      true,
    )
  for (const extension of ['progress.json', 'report.json', 'schemas.json', 'state.json', 'lock'])
    await rm(stateFile({ stateFolder, name: shipment.name }, extension), { force: true })
  await rm(dirname(new DeadLetters(stateFolder, shipment.name, 'any').folder), { recursive: true, force: true })
  return settled
}

/** The letter with what the second attempt says of it. */
function withReason(letter: StoredLetter, { code, reason, column }: StoredLetter): StoredLetter {
  const { column: _before, ...rest } = letter
  return { ...rest, code, reason, ...(column === undefined ? {} : { column }) }
}
