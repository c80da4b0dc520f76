// What each storage mode costs: bytes that a kept record takes, rows per second of CPU, and the wait of a single record.
//   npm run bench -- --storage
import { cpus } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { RecordBatch, RowObject, Schema, StorageMode } from '@nebula/core'
import { BatchAssembler, BufferPool, parseType, RecordPool } from '@nebula/core'

const MODES: readonly StorageMode[] = ['row', 'columnar', 'hybrid']
const ROWS = 200_000
const ROUNDS = 5
const LATENCY_RECORDS = 200_000

interface Table {
  readonly name: string
  readonly schema: Schema
  readonly row: (i: number) => RowObject
}

function table(name: string, columns: { [name: string]: string }, row: (i: number) => RowObject): Table {
  const fields = Object.entries(columns).map(([column, text]) => {
    const type = parseType(text)
    if (!type) throw new Error(`${text} is no type`)
    return { name: column, type, nullable: true }
  })
  return { name, schema: { fields }, row }
}

const COLUMNS = { id: 'int64', quantity: 'int32', price: 'float64', status: 'text', comment: 'text' }
const COMMENT = 'carefully final deposits detect slyly again'

const TABLES: readonly Table[] = [
  table('text that repeats', COLUMNS, (i) => ({
    id: i,
    quantity: i % 50,
    price: i / 4,
    status: `status ${i % 7}`,
    comment: `${COMMENT} ${i % 200}`,
  })),
  table('text that never repeats', COLUMNS, (i) => ({
    id: i,
    quantity: i % 50,
    price: i / 4,
    status: `status ${i}`,
    comment: `${COMMENT} ${i}`,
  })),
]

function assemblerOf({ schema }: Table, mode: StorageMode, rows: number): BatchAssembler {
  const limits = { rows, bytes: Infinity }
  const [pool, records] = [new BufferPool(2 ** 31), new RecordPool(ROWS)]
  return new BatchAssembler({ stream: 's', schema, mode, limits, pool, records })
}

/** Makes every row into batches, and gives each to `use`. */
function assemble({ row }: Table, into: BatchAssembler, rows: number, use: (batch: RecordBatch) => void): void {
  for (let i = 0; i < rows; i++) {
    into.add(row(i))
    if (into.isReady) take(into, use)
  }
  take(into, use)
}

function take(into: BatchAssembler, use: (batch: RecordBatch) => void): void {
  const batch = into.take()
  if (batch) use(batch)
}

/** Rows per second of CPU, from objects to batches whose every column was asked for. */
function speed(of: Table, mode: StorageMode): number {
  const into = assemblerOf(of, mode, 10_000)
  const began = process.cpuUsage()
  assemble(of, into, ROWS, (batch) => {
    for (let i = 0; i < of.schema.fields.length; i++) batch.column(i)
    batch.release()
  })
  const { user, system } = process.cpuUsage(began)
  into.free()
  return ROWS / ((user + system) / 1e6)
}

/** Bytes of the process that a record takes while its batch is kept. */
async function kept(of: Table, mode: StorageMode, collect: () => Promise<void>): Promise<number> {
  const batches: RecordBatch[] = []
  const into = assemblerOf(of, mode, 10_000)
  await collect()
  const before = process.memoryUsage()
  assemble(of, into, ROWS, (batch) => batches.push(batch))
  await collect()
  const after = process.memoryUsage()
  const bytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  for (const batch of batches) batch.release()
  into.free()
  return bytes / ROWS
}

/** Microseconds from a record as it was read to all its values at the writer, one record a batch. */
function latency(of: Table, mode: StorageMode): { p50: number; p99: number; p999: number } {
  const into = assemblerOf(of, mode, 1)
  const waits = new Float64Array(LATENCY_RECORDS)
  for (let i = 0; i < LATENCY_RECORDS; i++) {
    const row = of.row(i)
    const began = performance.now()
    into.add(row)
    take(into, (batch) => {
      const record = batch.record(0)
      for (const { name } of of.schema.fields) record.get(name)
      batch.release()
    })
    waits[i] = (performance.now() - began) * 1000
  }
  into.free()
  waits.sort()
  const at = (part: number): number => waits[Math.floor(part * LATENCY_RECORDS)] ?? 0
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999) }
}

/** Nanoseconds of CPU for a view of a row, a new one and one of a pool; the best of some rounds. */
function views(of: Table): { fresh: number; pooled: number } {
  const into = assemblerOf(of, 'columnar', 10_000)
  for (let i = 0; i < 10_000; i++) into.add(of.row(i))
  const batch = into.take()
  if (!batch) throw new Error('no batch')
  const pool = new RecordPool()
  const cost = (view: (row: number) => void): number => {
    const rounds = Array.from({ length: ROUNDS }, () => {
      const began = process.cpuUsage()
      for (let i = 0; i < LATENCY_RECORDS * 10; i++) view(i % batch.rows)
      const { user, system } = process.cpuUsage(began)
      return ((user + system) * 1000) / (LATENCY_RECORDS * 10)
    })
    return Math.min(...rounds)
  }
  const fresh = cost((row) => batch.record(row).get('quantity'))
  const pooled = cost((row) => {
    const record = pool.view(batch, row)
    record.get('quantity')
    record.release()
  })
  batch.release()
  into.free()
  return { fresh, pooled }
}

/** What hybrid makes of a batch. */
function chosen(rows: number, distinct: number): string {
  const of = table('', { text: 'text' }, (i) => ({ text: `text ${i % distinct}` }))
  const into = assemblerOf(of, 'hybrid', 100_000)
  let form = ''
  assemble(of, into, rows, (batch) => {
    form = batch.record(0) === batch.record(0) ? 'records' : `columns, text as ${batch.column(0).layout}`
    batch.release()
  })
  into.free()
  return form
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
}

/** Prints the tables of docs/performance.md. */
export async function benchStorage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  // The memory of typed arrays is given back behind the collection that found them.
  const collect = async (): Promise<void> => {
    for (let i = 0; i < 4; i++) {
      gc()
      await new Promise(setImmediate)
    }
  }
  console.log(
    `${cpus().length} cores, ${cpus()[0]?.model.trim()}, Node ${process.version}; medians of ${ROUNDS} rounds`,
  )
  console.log('\n| rows of | mode | rows per CPU s | bytes a record | one record: p50 µs | p99 µs | p99.9 µs |')
  console.log('|---|---|---|---|---|---|---|')
  for (const of of TABLES) {
    const speeds = new Map(MODES.map((mode) => [mode, [] as number[]]))
    // The modes in turn, so that a machine that changes its speed changes all.
    for (let round = 0; round <= ROUNDS; round++)
      for (const mode of MODES) {
        const measured = speed(of, mode)
        if (round > 0) speeds.get(mode)?.push(measured)
      }
    for (const mode of MODES) {
      const { p50, p99, p999 } = latency(of, mode)
      const rate = `${Math.round(median(speeds.get(mode) ?? []) / 1000)}K`
      const bytes = (await kept(of, mode, collect)).toFixed(0)
      const waits = [p50, p99, p999].map((wait) => wait.toFixed(1)).join(' | ')
      console.log(`| ${of.name} | ${mode} | ${rate} | ${bytes} | ${waits} |`)
    }
  }
  const { fresh, pooled } = views(TABLES[0] as Table)
  console.log(`\na view of a row and one value: new ${fresh.toFixed(0)} ns, pooled ${pooled.toFixed(0)} ns`)
  console.log('\n| rows of a batch | distinct texts | hybrid keeps |\n|---|---|---|')
  const cases = [
    [1, 1],
    [63, 1],
    [64, 1],
    [64, 32],
    [10_000, 7],
    [10_000, 1000],
    [10_000, 2500],
    [10_000, 10_000],
    [1_000_000, 1_000_000],
  ] as const
  for (const [rows, distinct] of cases)
    console.log(`| ${rows.toLocaleString('en')} | ${distinct.toLocaleString('en')} | ${chosen(rows, distinct)} |`)
}
