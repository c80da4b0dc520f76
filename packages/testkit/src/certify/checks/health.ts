import type { BaseDestination, BaseSource } from '@nebula/base'
import type { Health, RecordBatch, RowObject } from '@nebula/core'
import type { Check } from '../check.ts'
import { expectFailure } from '../expect-failure.ts'
import { expectRows } from '../expect-rows.ts'
import { noDestination, noServer, noSource } from '../needs.ts'
import type { Place } from '../place.ts'
import { sampleTable } from '../sample-table.ts'
import type { Table } from '../table.ts'
import { within } from '../within.ts'

/** How long a server may take to answer, and by when a check that it does not answer must be over. */
const PING_MS = 500
const TOLD_MS = PING_MS + 2_000

const ASKED_AGAIN = 3

const ROWS = 1_200

/** What is told of a connector while it works. */
export const healthChecks: readonly Check[] = [
  {
    group: 'health and metrics',
    name: 'is healthy exactly while the server answers',
    exempt: noServer,
    run: async (place) => {
      const reliability = { maxRetries: 0, healthCheck: { timeout: PING_MS } }
      const { proxy, keys } = await place.proxy({ reliability })
      await using _proxy = proxy
      for (const program of programs(place, keys)) {
        await using end = program
        await end.initialize()
        const health = (): Promise<Health> => within(TOLD_MS, `Asking whether ${end.name} is healthy`, end.health())
        const healthAgain = async (): Promise<Health> => {
          // That a connection is lost may be found out by asking over it.
          for (let asked = 1; asked < ASKED_AGAIN; asked++) if ((await health()).status === 'healthy') break
          return health()
        }
        expectHealthy(await health(), 'while the server answered')
        proxy.refuse()
        proxy.cutAll('reset')
        expectIll(await health(), 'while the server refused connections')
        await proxy.heal()
        expectHealthy(await healthAgain(), 'when the server answered again')
        proxy.blackHole()
        expectIll(await health(), 'while the server was silent')
        proxy.cutAll('reset')
        await proxy.heal()
        expectHealthy(await healthAgain(), 'when the server answered again')
      }
    },
  },
  {
    group: 'health and metrics',
    name: 'counts the rows that it reads, and the calls that fail',
    exempt: noSource,
    run: async (place) => {
      const table = sampleTable('counted', ROWS)
      await place.create(table)
      await using source = place.programSource()
      await source.initialize()
      let batches = 0
      let rows = 0
      for await (const batch of source.read(place.streamOf(table.name), { batch: { rows: 500 } })) {
        batches++
        rows += lengthOf(batch)
        batch.release()
      }
      const metrics = source.metrics()
      expectCount('rows', metrics.rows, ROWS)
      expectCount('rows in columns', rows, ROWS)
      expectCount('batches', metrics.batches, batches)
      expectCount('rejected rows', metrics.rejected, 0)
      if (metrics.bytes < ROWS) throw new Error(`It counts ${metrics.bytes} bytes for ${ROWS} rows.`)
      expectCount('bytes that are lent', metrics.buffers.used, 0)
      await expectFailure(() => source.schema('there is no such stream'), 'The schema of no stream', [
        'stream_not_found',
      ])
      expectCount('failed calls', source.metrics().errors['stream_not_found'] ?? 0, 1)
    },
  },
  {
    group: 'health and metrics',
    name: 'counts rows as durable once they are committed, and not before',
    exempt: noDestination,
    run: async (place) => {
      const table = sampleTable('durable', ROWS)
      const name = 'durable'
      {
        await using first = place.programDestination()
        await first.initialize()
        await first.prepare({ stream: table.name, schema: { fields: table.fields } }, { name })
        await first.write(objects(table.rows.slice(0, 700)))
        expectCount('durable rows before the commit', first.metrics().durable, 0)
        expectCount('rows that another process recalls before the commit', await recalled(place, name), 0)
        await first.commit()
        expectCount('durable rows after the commit', first.metrics().durable, 700)
        if (place.destination().recall)
          expectCount('rows that another process recalls after the commit', await recalled(place, name), 700)
        // What is not committed by the end goes with it.
        await first.write(objects(table.rows.slice(700, 900)))
      }
      await using second = place.programDestination()
      await second.initialize()
      const [prepared] = await second.prepare({ stream: table.name, schema: { fields: table.fields } }, { name })
      const rows = prepared?.committed?.rows ?? 0
      if (place.destination().recall) expectCount('rows that the next process goes on behind', rows, 700)
      await second.write(objects(table.rows.slice(rows)))
      await second.finish()
      expectCount('rows of the next process', second.metrics().rows, ROWS - rows)
      expectCount('durable rows of the next process', second.metrics().durable, ROWS - rows)
      expectRows(await place.contents(table), table.rows)
    },
  },
]

function programs(place: Place, keys: Place['keys']): readonly (BaseSource | BaseDestination)[] {
  const { source, destination } = place.subject.connector
  return [...(source ? [place.programSource(keys)] : []), ...(destination ? [place.programDestination(keys)] : [])]
}

function expectHealthy({ status, checks }: Health, when: string): void {
  if (status !== 'healthy') throw new Error(`It was ${status} ${when}: ${checks.at(-1)?.error}.`)
}

function expectIll({ status, checks }: Health, when: string): void {
  if (status === 'healthy' || checks.at(-1)?.error === undefined) throw new Error(`It was ${status} ${when}.`)
  if (checks.at(-1)?.error === 'internal') throw new Error(`It failed with an error of its own making ${when}.`)
}

function expectCount(what: string, found: number, wanted: number): void {
  if (found !== wanted) throw new Error(`It counts ${found} ${what} instead of ${wanted}.`)
}

/** The rows that its columns have, whatever it says. */
function lengthOf(batch: RecordBatch): number {
  return batch.schema.fields.length === 0 ? batch.rows : batch.column(0).length
}

/** Rows of the sample as objects, in the types of its fields. */
function objects(rows: Table['rows']): RowObject[] {
  return rows.map(([id, name, note]) => ({ id: BigInt(id ?? 0), name: name ?? null, note: note ?? null }))
}

/** Rows of an unfinished run that a driver of its own knows. */
async function recalled(place: Place, pipeline: string): Promise<number> {
  const driver = place.destination()
  try {
    await driver.open?.(place.context())
    const found = await driver.recall?.(pipeline, place.context())
    return (found?.checkpoints ?? []).reduce((sum, { counts }) => sum + counts.written, 0)
  } finally {
    await driver.close?.()
  }
}
