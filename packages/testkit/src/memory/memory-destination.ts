import type {
  Acceptance,
  Checkpoint,
  Context,
  DestinationDriver,
  Field,
  Recalled,
  RecordBatch,
  Rejection,
  Run,
  Schema,
  StreamPlan,
  TargetInfo,
  WriteTask,
  Writer,
} from '@nebula/core'
import { nothingLeft } from '@nebula/base'
import { MODES, NebulaError } from '@nebula/core'
import type { Faults, Row } from './memory-connector.ts'
import { columnTexts } from './memory-connector.ts'

interface Table {
  readonly schema: Schema
  readonly rows: Row[]
  readonly foreign: boolean
}

/** Tables by name, as a memory destination keeps them. */
export type MemoryTables = Map<string, Table>

/** What a memory destination keeps beyond the life of a process. */
export class MemoryTarget {
  readonly tables: MemoryTables
  /** By run, target and generation; then by partition and sequence. */
  readonly staging = new Map<string, Map<string, Row[]>>()
  run: Run | undefined
  checkpoints = new Map<string, Checkpoint>()
  finished = new Set<string>()
  ended = false

  /** Targets of several pipelines may have tables in common. */
  constructor(tables: MemoryTables = new Map()) {
    this.tables = tables
  }

  rows(table: string): Row[] {
    return this.tables.get(table)?.rows ?? []
  }
}

export interface MemoryDestination {
  readonly target: MemoryTarget
  readonly faults?: Faults
  /** The destination keeps run and checkpoints, and commits them with the rows. Default: true. */
  readonly recalls?: boolean
  /** Committed rows are in the table at once: no staging, nothing to finish or to discard. */
  readonly appendOnly?: boolean
  /** Says why a row may not come in. */
  readonly refuses?: (row: Row) => string | undefined
  /** How refused rows are told: which they are, or only that there is one among those of a call. Default: named. */
  readonly tells?: 'named' | 'range'
  readonly accepts?: (field: Field) => Partial<Acceptance['columns'][number]>
  readonly problems?: Acceptance['problems']
  readonly wire?: string
  /** A commit follows every batch that has a position. */
  readonly commitOften?: boolean
  readonly beforeWrite?: (context: Context) => Promise<void>
}

export function memoryDestination(options: MemoryDestination): DestinationDriver {
  const { target, faults } = options
  const recalls = options.recalls !== false
  return {
    modes: MODES,
    async open() {
      faults?.hit('destination.open')
    },
    async close() {
      faults?.hit('destination.close')
    },
    async describe(targets) {
      faults?.hit('describe')
      return targets.map((name) => described(target, name))
    },
    accept: (_request, schema, wire) => acceptance(options, schema, wire.includes(options.wire ?? '')),
    ...(recalls
      ? {
          async recall(): Promise<Recalled | undefined> {
            faults?.hit('recall')
            const { run, checkpoints, finished, ended } = target
            return (
              run && structuredClone({ run, checkpoints: [...checkpoints.values()], finished: [...finished], ended })
            )
          },
          async end() {
            faults?.hit('end')
            target.ended = true
            faults?.hit('ended')
          },
        }
      : {}),
    async prepare(run) {
      faults?.hit('prepare')
      refuseOvertaken(target, run)
      prepare(target, run)
    },
    async writer(task, context) {
      faults?.hit('writer')
      return new MemoryWriter(options, task, context, recalls)
    },
    ...(options.appendOnly
      ? {}
      : {
          async finish(run: Run, streams: readonly string[]) {
            faults?.hit('finish')
            refuseOvertaken(target, run)
            for (const stream of run.streams) if (streams.includes(stream.request.stream)) publish(target, run, stream)
            target.run = structuredClone(run)
            faults?.hit('finished')
          },
          sweep: (run, stream, keys) => sweep(options, run, stream, keys),
          async discard(run: Run, streams: readonly string[]) {
            faults?.hit('discard')
            for (const stream of run.streams) if (streams.includes(stream.request.stream)) forget(target, run, stream)
          },
        }),
  }
}

function refuseOvertaken({ run }: MemoryTarget, { epoch }: Run): void {
  const known = run?.epoch ?? 0
  if (known > epoch) throw new NebulaError('fenced', { message: `Epoch ${epoch} was followed by ${known}.` })
}

function described(target: MemoryTarget, name: string): TargetInfo | undefined {
  const table = target.tables.get(name)
  return table && { schema: table.schema, foreignRows: table.foreign && table.rows.length > 0 }
}

function acceptance(options: MemoryDestination, schema: Schema, takesWire: boolean): Acceptance {
  return {
    columns: schema.fields.map((field) => ({
      // Rows are texts: of what has none, it takes what is offered in its place.
      as: (field.type.kind === 'native' && field.offers?.find(({ kind }) => kind !== 'native')) || field.type,
      type: field.type.kind,
      fidelity: 'exact',
      ...options.accepts?.(field),
    })),
    ...(takesWire && options.wire !== undefined ? { wire: options.wire } : {}),
    ddl: [],
    guarantee: options.recalls === false ? 'at_least_once' : 'exactly_once',
    ...(options.commitOften ? { partitionBytes: 1 } : {}),
    problems: options.problems ?? [],
  }
}

const stagingName = (run: Run, stream: StreamPlan): string => `${run.id}/${stream.target}/${stream.generation}`

function prepare(target: MemoryTarget, run: Run): void {
  if (target.run?.id !== run.id) {
    target.checkpoints.clear()
    target.finished.clear()
  }
  const before = new Map(target.run?.streams.map((stream) => [stream.request.stream, stream.generation]))
  for (const stream of run.streams) {
    for (const generation of Array(stream.generation).keys())
      target.staging.delete(stagingName(run, { ...stream, generation }))
    if ((before.get(stream.request.stream) ?? 0) !== stream.generation) dropCheckpoints(target, run, stream)
  }
  target.run = structuredClone(run)
  target.ended = false
}

function dropCheckpoints(target: MemoryTarget, run: Run, { request }: StreamPlan): void {
  for (const { id, stream } of [...run.plan.partitions, ...(target.run?.plan.partitions ?? [])]) {
    if (stream === request.stream) target.checkpoints.delete(id)
  }
}

function publish(target: MemoryTarget, run: Run, stream: StreamPlan): void {
  if (target.finished.has(stream.request.stream)) return
  const staged = target.staging.get(stagingName(run, stream)) ?? new Map<string, Row[]>()
  const inOrder = run.plan.partitions.flatMap(({ id }) =>
    [...staged].filter(([key]) => key.startsWith(`${id}#`)).flatMap(([, rows]) => rows),
  )
  const before = stays(stream, target.tables.get(stream.target), inOrder)
  target.tables.set(stream.target, { schema: stream.schema, rows: [...before, ...inOrder], foreign: false })
  target.staging.delete(stagingName(run, stream))
  dropCheckpoints(target, run, stream)
  target.finished.add(stream.request.stream)
}

/** What stays at a target beside the rows that come. Throws `data_invalid` when two of these are to be merged by one key. */
function stays(
  { request: { mode, key }, schema }: StreamPlan,
  standing: Table | undefined,
  coming: readonly Row[],
): Row[] {
  const { rows = [], schema: before = schema } = standing ?? {}
  if (mode !== 'merge') return mode === 'append' ? rows : []
  const brought = new Set(coming.map(keyOf(schema, key)))
  if (brought.size < coming.length) throw new NebulaError('data_invalid', { message: 'Two rows have the same key.' })
  const keyBefore = keyOf(before, key)
  return rows.filter((row) => !brought.has(keyBefore(row)))
}

/** Deletes rows with other keys than these. */
async function sweep(
  { target, faults }: MemoryDestination,
  run: Run,
  { schema, request: { key }, target: name, accepted }: StreamPlan,
  keys: AsyncIterable<RecordBatch>,
): Promise<number> {
  faults?.hit('sweep')
  const found = new Set<string>()
  const keyOfBatch = keyOf(schema, key)
  for await (const batch of keys) for (const row of rowsOf(accepted, batch)) found.add(keyOfBatch(row))
  faults?.hit('keys')
  refuseOvertaken(target, run)
  const { rows, ...table } = target.tables.get(name) ?? { schema, rows: [], foreign: false }
  const keyBefore = keyOf(table.schema, key)
  const kept = rows.filter((row) => found.has(keyBefore(row)))
  if (rows.length > 0 && kept.length === 0) throw nothingLeft(name)
  target.tables.set(name, { ...table, rows: kept })
  faults?.hit('swept')
  return rows.length - kept.length
}

function keyOf({ fields }: Schema, key: readonly string[]): (row: Row) => string {
  const places = key.map((name) => fields.findIndex((field) => field.name === name))
  return (row) => JSON.stringify(places.map((place) => row[place]))
}

function forget(target: MemoryTarget, run: Run, stream: StreamPlan): void {
  target.staging.delete(stagingName(run, stream))
  dropCheckpoints(target, run, stream)
}

class MemoryWriter implements Writer {
  readonly #options: MemoryDestination
  readonly #task: WriteTask
  readonly #context: Context
  readonly #recalls: boolean
  #rows: Row[] = []

  constructor(options: MemoryDestination, task: WriteTask, context: Context, recalls: boolean) {
    this.#options = options
    this.#task = task
    this.#context = context
    this.#recalls = recalls
  }

  async write(batch: RecordBatch, from: number, to: number): Promise<readonly Rejection[]> {
    const { faults, beforeWrite, refuses, tells } = this.#options
    await beforeWrite?.(this.#context)
    faults?.hit('write')
    const given = rowsOf(this.#task.stream.accepted, batch).slice(from, to)
    if (!this.#task.isolate) {
      this.#rows.push(...given)
      return []
    }
    const refused = given.flatMap((row, i) => {
      const reason = refuses?.(row)
      return reason === undefined ? [] : [{ row: from + i, code: 'refused', reason, place: batch.place(from + i) }]
    })
    const [first] = refused
    if (first && tells === 'range') throw new NebulaError('row_rejected', { message: first.reason })
    this.#rows.push(...given.filter((row) => refuses?.(row) === undefined))
    return refused
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const { target, faults, refuses, appendOnly } = this.#options
    const { run, stream } = this.#task
    faults?.hit('commit')
    const reason = this.#rows.map((row) => refuses?.(row)).find((refusal) => refusal !== undefined)
    if (reason !== undefined) throw new NebulaError('row_rejected', { message: reason })
    refuseOvertaken(target, run)
    const known = target.checkpoints.get(checkpoint.partition)
    if (this.#recalls && known && known.sequence >= checkpoint.sequence) {
      throw new NebulaError('already_committed', { message: `${checkpoint.partition} is committed.` })
    }
    if (appendOnly) this.#append()
    else this.#stage(stagingName(run, stream), `${checkpoint.partition}#${checkpoint.sequence}`)
    if (this.#recalls) target.checkpoints.set(checkpoint.partition, structuredClone(checkpoint))
    this.#rows = []
    faults?.hit('committed')
  }

  #append(): void {
    const { target } = this.#options
    const { schema, target: name } = this.#task.stream
    target.tables.set(name, { schema, rows: [...target.rows(name), ...this.#rows], foreign: false })
  }

  #stage(name: string, key: string): void {
    const { staging } = this.#options.target
    staging.set(name, (staging.get(name) ?? new Map<string, Row[]>()).set(key, this.#rows))
  }

  async abort(): Promise<void> {
    this.#rows = []
    this.#options.faults?.hit('abort')
  }
}

function rowsOf(accepted: Acceptance, batch: RecordBatch): Row[] {
  return accepted.wire === undefined ? columnRows(batch) : wireRows(batch)
}

function columnRows(batch: RecordBatch): Row[] {
  const columns = batch.schema.fields.map((_, index) => columnTexts(batch.column(index)))
  return Array.from({ length: batch.rows }, (_, row) => columns.map((texts) => texts[row] ?? null))
}

function wireRows({ wire, rows }: RecordBatch): Row[] {
  if (!wire) throw new Error('a batch without the wire rows that were agreed')
  return Array.from({ length: rows }, (_, row) => {
    const line = Buffer.from(wire.data.subarray(wire.offsets[row], wire.offsets[row + 1])).toString()
    return JSON.parse(line) as Row
  })
}
