import type {
  Catalog,
  Checkpoint,
  ColumnAcceptance,
  Context,
  DestinationDriver,
  Field,
  ReadTask,
  RecordBatch,
  Rejection,
  SourceDriver,
  Value,
  Writer,
} from '@nebula/core'
import { BatchAssembler, parseType, RecordPool, valueAt } from '@nebula/core'

export interface Table {
  readonly columns: { readonly [name: string]: string }
  readonly rows: readonly (readonly Value[])[]
  readonly rejected?: readonly Rejection[]
}

function fieldsOf(columns: Table['columns']): Field[] {
  return Object.entries(columns).map(([name, text]) => {
    const type = parseType(text)
    if (!type) throw new Error(`${text} is no type`)
    return { name, type, nullable: true }
  })
}

/** Tables in memory that many drivers read, and what those drivers did. */
export class Memory {
  tables: { [name: string]: Table } = {}
  /** Rows of a batch. */
  batchRows = 10
  opened = 0
  closed = 0
  /** Readings that gave everything back, and batches that are out. */
  freed = 0
  lent = 0
  down = false
  readonly driver = (): SourceDriver => ({
    open: async () => void this.opened++,
    ping: async () => {
      if (this.down) throw new Error('down')
    },
    close: async () => void this.closed++,
    discover: async (): Promise<Catalog> => ({
      streams: Object.entries(this.tables).map(([name, { columns }]) => ({
        name,
        schema: { fields: fieldsOf(columns) },
        key: [],
        wire: [],
      })),
    }),
    read: (task, context) => this.#read(task, context),
  })

  async *#read({ stream: { request, schema } }: ReadTask, context: Context): AsyncGenerator<RecordBatch> {
    const { rows, columns, rejected = [] } = this.tables[request.stream] as Table
    const names = Object.keys(columns)
    const limits = { rows: this.batchRows, bytes: Infinity }
    const { stream } = request
    const { pool } = context
    const assembler = new BatchAssembler({ stream, schema, mode: 'columnar', limits, pool, records: new RecordPool() })
    const selected = rows.slice(0, request.limit)
    try {
      for (const [i, row] of selected.entries()) {
        if (context.signal.aborted) throw context.signal.reason
        const all = Object.fromEntries(names.map((name, at) => [name, row[at]]))
        assembler.add(Object.fromEntries(request.columns.map((name) => [name, all[name]])))
        if (!assembler.isReady && i < selected.length - 1) continue
        const batch = assembler.take()
        if (batch) yield this.#lend(i === selected.length - 1 ? rejecting(batch, rejected) : batch)
      }
    } finally {
      assembler.free()
      this.freed++
    }
  }

  #lend(batch: RecordBatch): RecordBatch {
    this.lent++
    const release = batch.release.bind(batch)
    batch.release = () => {
      this.lent--
      release()
    }
    return batch
  }
}

function rejecting(batch: RecordBatch, rejected: readonly Rejection[]): RecordBatch {
  Object.defineProperty(batch, 'rejected', { value: rejected })
  return batch
}

/** A destination in memory without state: what was written, batch by batch. */
export class MemoryTarget {
  readonly batches: { rows: Value[][]; layouts: string[] }[] = []
  readonly commits: Checkpoint[] = []
  aborts = 0
  closed = 0
  finished: string[] = []
  discarded: string[] = []
  failNext: Error | undefined
  /** How a column is kept, by its name; others as they come. */
  accepted: { readonly [column: string]: Partial<ColumnAcceptance> } = {}
  readonly driver = (): DestinationDriver => ({
    close: async () => void this.closed++,
    accept: (_request, schema) => ({
      columns: schema.fields.map(({ name, type }) => ({
        as: type,
        type: 'any',
        fidelity: 'exact',
        ...this.accepted[name],
      })),
      ddl: [],
      guarantee: 'at_least_once',
      problems: [],
    }),
    prepare: async () => {},
    writer: async (): Promise<Writer> => ({
      write: async (batch) => {
        const failure = this.failNext
        this.failNext = undefined
        if (failure) throw failure
        const columns = batch.schema.fields.map((_, i) => batch.column(i))
        const rows = Array.from({ length: batch.rows }, (_, row) => columns.map((column) => valueAt(column, row)))
        this.batches.push({ rows, layouts: columns.map(({ layout }) => layout) })
        return []
      },
      commit: async (checkpoint) => void this.commits.push(checkpoint),
      abort: async () => void this.aborts++,
    }),
    finish: async (_run, streams) => void this.finished.push(...streams),
    discard: async (_run, streams) => void this.discarded.push(...streams),
  })

  get rows(): Value[][] {
    return this.batches.flatMap(({ rows }) => rows)
  }
}
