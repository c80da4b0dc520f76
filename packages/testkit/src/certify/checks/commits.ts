import { join } from 'node:path'
import type { Checkpoint } from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import type { Endpoint, Report } from '@nebula/runtime'
import type { MemorySource } from '../../memory/memory-source.ts'
import type { Check } from '../check.ts'
import { expectDone } from '../expect-done.ts'
import { withDestination } from '../delegate.ts'
import { expectRows } from '../expect-rows.ts'
import { expectThat } from '../expect-that.ts'
import { killedAt } from '../kill.ts'
import { needsDestination } from '../needs.ts'
import type { Place } from '../place.ts'
import { numbered } from '../tables.ts'
import { acceptanceOf } from '../acceptance.ts'
import { Tap } from '../tap.ts'
import type { Transfer } from '../transfer.ts'
import { IMPATIENT, rowsOf, write, writeAll } from '../transfer.ts'

/** Two partitions of three batches. */
const TABLE = numbered('committed', 12)
const SOURCE: MemorySource = { streams: [{ ...TABLE, cut: 6, positions: true }] }
/** Behind each batch, and at the end of each partition. */
const COMMITS = 8
const OFTEN: Transfer = {
  memory: { performance: { batchSize: 2, checkpointInterval: 0 } },
  pipeline: { parallel: 1 },
}
/** What stands at the target before. */
const BEFORE = numbered(TABLE.name, 3, 900)

/** What a commit holds, and who may make it. */
export const commitChecks: readonly Check[] = [
  {
    group: 'commits',
    name: 'goes on behind each commit after a kill',
    exempt: needsDestination,
    run: (place) => killEach(place, 'behind'),
  },
  {
    group: 'commits',
    name: 'leaves nothing of rows that were written and not committed',
    exempt: needsDestination,
    run: (place) => killEach(place, 'before'),
  },
  {
    group: 'commits',
    name: 'settles commits whose answer was lost',
    exempt: needsDestination,
    run: async (place) => {
      // Every second one, so that the task gets on.
      const tap = new Tap({ after: ({ method, index }) => lose('answer', method === 'commit' && index % 2 === 0) })
      const end = tap.endpoint(place.endpoint(IMPATIENT))
      expectDone(await write(place, SOURCE, { ...OFTEN, end }))
      await expectTable(place, 'Answers were lost')
    },
  },
  {
    group: 'commits',
    name: 'makes commits again that failed before they were made',
    exempt: needsDestination,
    run: async (place) => {
      const tap = new Tap({ before: ({ method, index }) => lose('request', method === 'commit' && index % 2 === 0) })
      const end = tap.endpoint(place.endpoint(IMPATIENT))
      expectDone(await write(place, SOURCE, { ...OFTEN, end }))
      await expectTable(place, 'Requests were lost')
    },
  },
  {
    group: 'commits',
    name: 'refuses a commit that was made already',
    exempt: needsDestination,
    run: async (place) => {
      const answers: string[] = []
      const end = withDestination(place.endpoint(IMPATIENT), (driver) => ({
        async writer(task, context) {
          const writer = await driver.writer(task, context)
          const again = async (checkpoint: Checkpoint): Promise<void> => {
            await writer.commit(checkpoint)
            if (!driver.recall) return
            const repeated = await driver.writer(task, context)
            answers.push(await codeOf(repeated.commit(checkpoint)))
            await repeated.abort(undefined)
          }
          return { write: (...batch) => writer.write(...batch), abort: (reason) => writer.abort(reason), commit: again }
        },
      }))
      expectDone(await write(place, SOURCE, { pipeline: { parallel: 1 }, end }))
      const other = answers.find((answer) => answer !== 'already_committed')
      expectThat(other === undefined, `Repeated, a commit ended as ${other} instead of already_committed.`)
      await expectTable(place, 'Commits were repeated')
    },
  },
  ...(['write', 'commit', 'finish'] as const).map((method): Check => ({
    group: 'commits',
    name: `lets a second runner have the run, and fences the first one when it wakes up at its ${method}`,
    exempt: needsDestination,
    run: async (place) => {
      const code = await overtaken(place, method)
      if (await exactlyOnce(place)) expectThat(code === 'fenced', `The first runner ended as ${code ?? 'done'}.`)
      await expectTable(place, 'A second runner took over')
    },
  })),
  {
    group: 'commits',
    name: 'lets a second runner have the run that commits while it is asked for',
    exempt: needsDestination,
    run: async (place) => {
      const [begun, asked, committed, taken] = Array.from({ length: 4 }, () => Promise.withResolvers<void>())
      const first = new Tap({
        async before({ method, index }) {
          if (method !== 'commit') return
          if (index === 1) {
            begun?.resolve()
            await asked?.promise
          }
          if (index === 3) {
            committed?.resolve()
            await taken?.promise
          }
        },
      })
      // What the second one is told is old when it takes over.
      const second = new Tap({
        async after({ method }) {
          if (method !== 'recall') return
          asked?.resolve()
          await committed?.promise
        },
      })
      const running = write(place, SOURCE, { ...OFTEN, end: first.endpoint(place.endpoint(IMPATIENT)) })
      await begun?.promise
      if (!place.destination().recall) asked?.resolve()
      expectDone(await takeOver(place, second.endpoint(place.endpoint(IMPATIENT))))
      taken?.resolve()
      await running
      await expectTable(place, 'A second runner took over')
    },
  },
  {
    group: 'commits',
    name: 'prepares, finishes and ends twice as once',
    exempt: needsDestination,
    run: async (place) => {
      const end = withDestination(place.endpoint(IMPATIENT), (driver) => ({
        prepare: (run, context) => twice(() => driver.prepare(run, context)),
        finish: (run, streams, context) => twice(async () => driver.finish?.(run, streams, context)),
        end: (run, context) => twice(async () => driver.end?.(run, context)),
      }))
      await writeAll(place, [BEFORE], { end })
      expectDone(await write(place, SOURCE, { ...OFTEN, end }))
      await expectTable(place, 'Everything was done twice')
    },
  },
  {
    group: 'commits',
    name: 'discards twice as once, and leaves the target as before',
    exempt: needsDestination,
    run: async (place) => {
      await writeAll(place, [BEFORE])
      let discarded = 0
      const end = withDestination(place.endpoint(IMPATIENT), (driver) => ({
        async discard(run, streams, context) {
          await twice(async () => driver.discard?.(run, streams, context))
          discarded++
        },
      }))
      // The last row cannot be read, and none may be missing.
      const source: MemorySource = { streams: [{ ...TABLE, cut: 6, positions: true, unreadable: [11] }] }
      const report = await write(place, source, { ...OFTEN, end })
      expectThat(report.status === 'failed', `A run of which a row is missing ended as ${report.status}.`)
      if (place.destination().discard) expectThat(discarded === 1, 'The failed stream was not discarded.')
      expectRows(await rowsOf(place, BEFORE), BEFORE.rows, 'The target after a discarded run')
      expectDone(await write(place, SOURCE, OFTEN))
      await expectTable(place, 'After a discarded run')
    },
  },
]

/** Goes on with one run until it is done, killed each time at the first commit of which nothing is known yet. */
async function killEach(place: Place, when: 'before' | 'behind'): Promise<void> {
  for (let kills = 0; ; kills++) {
    const end = killedAt(when, when === 'behind' ? 1 : 2).endpoint(place.endpoint(IMPATIENT))
    const report = await write(place, SOURCE, { ...OFTEN, end })
    if (report.status === 'done') break
    expectThat(kills < COMMITS, `Killed ${kills} times ${when} a commit, the run does not get on.`)
  }
  await expectTable(place, `Killed ${when} each commit`)
}

function lose(what: string, holds: boolean): void {
  if (holds) throw new NebulaError('connection_lost', { message: `The ${what} was lost.` })
}

/** As the guarantee says: each row once, or at least once. */
async function expectTable(place: Place, what: string): Promise<void> {
  const rows = await rowsOf(place, TABLE)
  if (await exactlyOnce(place)) return expectRows(rows, TABLE.rows, what)
  const once = [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()]
  expectRows(once, TABLE.rows, what)
}

async function exactlyOnce(place: Place): Promise<boolean> {
  return (await acceptanceOf(place, TABLE)).guarantee === 'exactly_once'
}

/**
 * How a runner fails that falls asleep before it asks its driver, while another one takes over and ends the run;
 * undefined: it does not fail.
 */
async function overtaken(place: Place, method: string): Promise<string | undefined> {
  const sleeps = method === 'finish' ? 0 : 2
  const tap = new Tap({
    async before(call) {
      if (call.method === method && call.index === sleeps) expectDone(await takeOver(place, place.endpoint(IMPATIENT)))
    },
  })
  try {
    const report = await write(place, SOURCE, { ...OFTEN, end: tap.endpoint(place.endpoint(IMPATIENT)) })
    return report.streams[0]?.error?.code
  } catch (error) {
    // What was finished by another is nothing to do, and then the run is not this runner's to end.
    if (isNebulaError(error)) return error.code
    throw error
  }
}

/** A second runner of the same pipeline, on another machine. */
function takeOver(place: Place, end: Endpoint): Promise<Report> {
  return write(place, SOURCE, { ...OFTEN, end, pipeline: { parallel: 1, stateFolder: join(place.folder, '.other') } })
}

async function twice(work: () => Promise<void>): Promise<void> {
  await work()
  await work()
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'done'
  } catch (error) {
    return isNebulaError(error) ? error.code : String(error)
  }
}
