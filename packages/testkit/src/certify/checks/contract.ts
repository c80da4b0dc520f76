import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { expectFailure, expectNebulaError } from '../expect-failure.ts'
import { noSource } from '../needs.ts'
import type { Place } from '../place.ts'
import { Resources } from '../resources.ts'
import { sampleTable } from '../sample-table.ts'
import type { Keys } from '../subject.ts'
import type { Table } from '../table.ts'
import { within } from '../within.ts'
import { abortChecks } from './contract-abort.ts'
import { secretChecks } from './contract-secrets.ts'

/** A second, and another for a machine that is busy. */
const CLOSING_MS = 2_000

/** Both drivers of the connector that there are, constructed. */
function drivers(
  place: Place,
  keys: Keys = {},
): { name: string; driver: ReturnType<Place['source' | 'destination']> }[] {
  const { source, destination } = place.subject.connector
  return [
    ...(source ? [{ name: 'the source', driver: place.source(keys) }] : []),
    ...(destination ? [{ name: 'the destination', driver: place.destination(keys) }] : []),
  ]
}

/** Constructing, opening, closing, stopping; errors and secrets. */
export const contractChecks: readonly Check[] = [
  {
    group: 'contract',
    name: 'constructs drivers without connecting',
    run: async (place) => {
      drivers(place)
      const before = Resources.now()
      const made = drivers(place)
      const { added } = before
      for (const { driver } of made) await driver.close?.()
      if (added.length > 0) throw new Error(`Constructing opened: ${added.join(', ')}.`)
    },
  },
  {
    group: 'contract',
    name: 'gives every driver a life of its own, which begins once',
    run: async (place) => {
      await place.create(sampleTable('own', 1))
      const { source, destination } = place.subject.connector
      const kinds = [
        ...(source ? [() => place.programSource()] : []),
        ...(destination ? [() => place.programDestination()] : []),
      ]
      for (const construct of kinds) {
        const [first, second] = [construct(), construct()]
        try {
          await first.initialize()
          await expectFailure(() => first.initialize(), 'A second initialize', ['lifecycle'])
          await second.initialize()
          await first.close()
          await expectFailure(() => first.health(), 'A source or destination that was closed', ['lifecycle'])
          const { status } = await second.health()
          if (status !== 'healthy') throw new Error(`Closing one driver left another one ${status}.`)
          if ('discover' in second) await second.discover()
          else await second.describe('nothing')
        } finally {
          await Promise.all([first.close(), second.close()])
        }
      }
    },
  },
  {
    group: 'contract',
    name: 'closes twice without harm, opened or not',
    run: async (place) => {
      const close = async (keys: Keys, opens: boolean): Promise<void> => {
        for (const { name, driver } of drivers(place, keys)) {
          if (opens) await driver.open?.(place.context({ keys })).catch(() => {})
          for (const time of ['first', 'second']) {
            await within(CLOSING_MS, `Closing ${name} for the ${time} time`, Promise.resolve(driver.close?.()))
          }
        }
      }
      await close({}, false)
      await close({}, true)
      if (!place.server) return
      const { proxy, keys } = await place.proxy({ reliability: { maxRetries: 0 } })
      await using _proxy = proxy
      proxy.refuse()
      await close(keys, true)
    },
  },
  {
    group: 'contract',
    name: 'leaves no socket, file, timer or child behind',
    run: async (place) => {
      const table = sampleTable('kept', 300)
      await place.create(table)
      // What a process opens once, and keeps, is there before.
      await live(place, table)
      const before = Resources.now()
      await live(place, table)
      await before.expectNothingLeft('What was closed')
    },
  },
  {
    group: 'contract',
    name: 'fails with errors of the catalogue, whatever its configuration says',
    run: async (place) => {
      for (const keys of nonsense(place)) {
        for (const { name, driver } of drivers(place, keys)) {
          const context = place.context({ keys, signal: AbortSignal.timeout(1_000) })
          try {
            await driver.open?.(context)
            if ('discover' in driver) await driver.discover(context, [])
            else await driver.describe?.(['nothing'], context)
          } catch (error) {
            expectNebulaError(error, `${name} with another ${Object.keys(keys)[0]}`)
          } finally {
            await driver.close?.()
          }
        }
      }
    },
  },
  {
    group: 'contract',
    name: 'fails with an error of the catalogue for a stream that is gone',
    exempt: noSource,
    run: async (place) => {
      await place.create(sampleTable('there', 1))
      const driver = place.source()
      const context = place.context()
      const { fields } = sampleTable('gone', 0)
      const stream = place.streamOf('gone')
      const request = { stream, mode: 'overwrite' as const, columns: fields.map(({ name }) => name), key: [] }
      const read = { request, schema: { fields }, decode: [0, 1, 2] }
      try {
        await driver.open?.(context)
        await expectFailure(
          async () => {
            const plan = await driver.plan?.([read], 1_000_000, undefined, context)
            const partition = plan?.partitions[0] ?? { id: stream, stream, range: null }
            const batch = { rows: 10, bytes: 1_000_000, delayMs: 1_000 }
            for await (const rows of driver.read({ partition, stream: read, batch }, context)) rows.release()
          },
          'Reading a stream that is gone',
          ['stream_not_found', 'source_changed', 'file_not_found', 'query_failed', 'permission_denied'],
        )
      } finally {
        await driver.close?.()
      }
    },
  },
  ...abortChecks,
  ...secretChecks,
]

/** Everything that a driver may be asked, to its end and not to its end. */
async function live(place: Place, table: Table): Promise<void> {
  const { source, destination } = place.subject.connector
  if (source) {
    expectDone((await place.read(table)).report)
    await using program = place.programSource()
    await program.initialize()
    for await (const batch of program.read(place.streamOf(table.name), { batch: { rows: 10 } })) {
      batch.release()
      break
    }
  }
  if (!destination) return
  expectDone(await place.write({ ...table, name: 'kept again' }))
  await using program = place.programDestination()
  await program.initialize()
  await program.prepare({ stream: 'left', schema: { fields: table.fields } })
  await program.write({ id: 1n, name: 'one', note: null })
}

/** Configurations in which one own key is not what it should be; those that are refused at once are none. */
function nonsense(place: Place): Keys[] {
  const known = Object.keys(place.config()).filter((key) => !BASE_KEYS.includes(key))
  const values = ['no-such-thing', '/no/such/thing', '://', '1', '\u{1F4A5} "\'', 1, 65_535]
  const once = { reliability: { maxRetries: 0 }, timeouts: { connection: 500, request: 1_000 } }
  return known
    .flatMap((key) => values.map((value): Keys => ({ [key]: value, ...once })))
    .filter((keys) => place.subject.connector.config.safeParse({ ...place.keys, ...keys }).success)
}

const BASE_KEYS = ['name', 'performance', 'timeouts', 'reliability', 'security', 'observability', 'memory', 'advanced']
