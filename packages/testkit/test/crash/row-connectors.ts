// Connectors over JSON lines in the current folder: for `node --import`, in children that are killed.
import { appendFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DestinationDriver, WriteTask, Writer } from '@nebula/core'
import { utf8 } from '@nebula/core'
import { register } from '@nebula/runtime'
import { columnTexts, memoryConnector, memorySource } from '../../src/index.ts'

const ROWS = Array.from({ length: 6 }, (_, i) => [String(i), `note ${i}`])
const FIELDS = [
  { name: 'id', type: { kind: 'int32' } as const, nullable: false },
  { name: 'note', type: utf8, nullable: true },
]

/** Stores the rows of one commit. */
type Store = (task: WriteTask, lines: readonly string[]) => void

const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('')

/** Keeps no run: the runtime's own state says what was committed. */
function destination(store: Store, finish: () => void = () => {}): DestinationDriver {
  return {
    async prepare() {},
    async writer(task: WriteTask): Promise<Writer> {
      const lines: string[] = []
      return {
        async write(batch, from, to) {
          const columns = batch.schema.fields.map((_, i) => columnTexts(batch.column(i)))
          for (let row = from; row < to; row++) lines.push(JSON.stringify(columns.map((column) => column[row])))
          return []
        },
        async commit() {
          store(task, lines.splice(0))
        },
        async abort() {},
      }
    },
    async finish() {
      finish()
    },
  }
}

const partitionFile = ({ partition }: WriteTask): string => `${partition.id.replace(':', '-')}.rows`

/** Writes a partition beside and replaces it, so that one which is written again is there once. */
const staged: Store = (task, lines) => {
  mkdirSync('staged', { recursive: true })
  writeFileSync(join('staged', partitionFile(task)), text(lines))
}
const publish = (): void => {
  if (existsSync('staged')) renameSync('staged', 'target')
}
const direct: Store = (task, lines) => {
  mkdirSync('target', { recursive: true })
  writeFileSync(join('target', partitionFile(task)), text(lines))
}
const memory: string[] = []

const DESTINATIONS: { readonly [name: string]: () => DestinationDriver } = {
  sound: () => destination(staged, publish),
  /** A partition that is written again is there twice. */
  doubles: () =>
    destination((_, lines) => {
      mkdirSync('target', { recursive: true })
      appendFileSync(join('target', 'all.rows'), text(lines))
    }),
  /** What was committed is only in memory until the end. */
  loses: () =>
    destination(
      (_, lines) => void memory.push(...lines),
      () => {
        mkdirSync('target', { recursive: true })
        writeFileSync(join('target', 'all.rows'), text(memory))
      },
    ),
  /** The process that takes over writes other values. */
  changes: () =>
    destination(
      (task, lines) =>
        staged(
          task,
          lines.map((line) => (task.run.epoch > 1 ? line.toUpperCase() : line)),
        ),
      publish,
    ),
  /** Readers see the first partition before the last one is there. */
  tears: () => destination(direct),
}

register(
  memoryConnector('rows', {
    source: () => memorySource({ streams: [{ name: 'a', fields: FIELDS, rows: ROWS, cut: 3 }] }),
  }),
)
for (const [name, driver] of Object.entries(DESTINATIONS)) register(memoryConnector(name, { destination: driver }))
