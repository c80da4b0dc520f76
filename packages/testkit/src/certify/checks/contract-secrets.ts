import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Secret } from '@nebula/core'
import type { Logger } from '@nebula/core'
import type { Check } from '../check.ts'
import type { Place } from '../place.ts'
import { sampleTable } from '../sample-table.ts'
import type { Keys } from '../subject.ts'

/** In the place of a secret that the configuration need not have. */
const MARK = 'marked/S3cret:marked'

/** Everything that is printed or kept, and where. */
class Printed {
  readonly #texts: { readonly where: string; readonly text: string }[] = []
  readonly logger: Logger

  constructor() {
    const log = (message: string, fields: object = {}): void => this.add('the log', [message, fields])
    this.logger = { debug: log, info: log, warn: log, error: log }
  }

  add(where: string, value: unknown): void {
    this.#texts.push({ where, text: typeof value === 'string' ? value : inspect(value, { depth: 12, getters: true }) })
    try {
      this.#texts.push({ where: `${where}, as JSON`, text: JSON.stringify(value) ?? '' })
    } catch {
      // What has no JSON is not printed as such.
    }
    if (value instanceof Error) this.add(where, value.stack)
  }

  async addFiles(folder: string): Promise<void> {
    const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => [])
    for (const entry of entries.filter((candidate) => candidate.isFile())) {
      this.add(`the file ${entry.name}`, await readFile(join(entry.parentPath, entry.name), 'utf8'))
    }
  }

  /** Throws where one of the secrets stands, in whatever form. */
  expectNone(secrets: readonly string[]): void {
    for (const secret of secrets) {
      const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64'), JSON.stringify(secret)]
      const found = this.#texts.find(({ text }) => forms.some((form) => text.includes(form)))
      if (found) throw new Error(`A secret of the configuration stands in ${found.where}.`)
    }
  }
}

/** What is printed, logged, stored and thrown. */
export const secretChecks: readonly Check[] = [
  {
    group: 'contract',
    name: 'shows no secret, whatever prints it',
    run: async (place) => {
      const printed = new Printed()
      const own: Keys = { ...place.keys, security: { tls: { mode: 'disable', key: MARK } }, advanced: { debug: true } }
      const declared = secretsOf(place.config(own))
      const secrets = [MARK, ...declared.values(), ...(place.subject.secrets?.(place.keys) ?? [])]
      printed.add('the connector', JSON.stringify(place.subject.connector))
      printed.add('the configuration', place.config(own))
      await printRuns(place, own, printed)
      await printPrograms(place, own, printed)
      for (const key of declared.keys()) await printRefusals(place, { ...own, [key]: MARK }, printed)
      printed.expectNone(secrets.filter((secret) => secret !== ''))
    },
  },
]

/** Own keys of the configuration that hold a secret. */
function secretsOf(config: object): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(config).flatMap(([key, value]: [string, unknown]) =>
      value instanceof Secret ? [[key, value.reveal()]] : [],
    ),
  )
}

async function printRuns(place: Place, keys: Keys, printed: Printed): Promise<void> {
  const table = sampleTable('secret', 10)
  const { logger } = printed
  await place.create(table)
  const { source, destination } = place.subject.connector
  if (source) printed.add('a report', (await place.read(table, { keys, logger })).report)
  if (destination) {
    const pipeline = { name: 'secret' }
    printed.add('a report', await place.write({ ...table, name: 'secret too' }, { keys, logger, pipeline }))
    const driver = place.destination(keys)
    await driver.open?.(place.context({ keys }))
    printed.add('what the destination keeps of a run', await driver.recall?.('secret', place.context({ keys })))
    await driver.close?.()
  }
  await printed.addFiles(place.stateFolder)
}

async function printPrograms(place: Place, keys: Keys, printed: Printed): Promise<void> {
  const { source, destination } = place.subject.connector
  const { logger } = printed
  for (const kind of ['source', 'destination'] as const) {
    if (!(kind === 'source' ? source : destination)) continue
    const driver = kind === 'source' ? place.source(keys) : place.destination(keys)
    const program = kind === 'source' ? place.programSource(keys, logger) : place.programDestination(keys, logger)
    await driver.open?.(place.context({ keys, logger }))
    await program.initialize()
    const print = (when: string): void => {
      printed.add(`a driver of the ${kind} ${when}`, driver)
      printed.add(`the ${kind} ${when}`, program)
    }
    print('that is open')
    printed.add(`the health of the ${kind}`, await program.health())
    printed.add(`the metrics of the ${kind}`, program.metrics())
    await Promise.all([driver.close?.(), program.close()])
    print('that is closed')
  }
}

/** What is said when a secret is not the right one. */
async function printRefusals(place: Place, keys: Keys, printed: Printed): Promise<void> {
  const once = { ...keys, reliability: { maxRetries: 0 } }
  for (const kind of ['source', 'destination'] as const) {
    if (!place.subject.connector[kind]) continue
    try {
      const driver = kind === 'source' ? place.source(once) : place.destination(once)
      try {
        await driver.open?.(place.context({ keys: once, logger: printed.logger }))
      } finally {
        printed.add(`a driver of the ${kind} that could not be opened`, driver)
        await driver.close?.()
      }
    } catch (error) {
      printed.add('an error', error)
    }
  }
}
