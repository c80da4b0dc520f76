import type { Catalog, Connector, Mode, Recalled, SourceDriver, StreamPlan } from '@nebula/core'
import type { Pipeline, Report, RunOptions, StoredLetter, StreamOptions } from '@nebula/runtime'
import { definedStreams, runPipeline, sourceDriver, writeMode } from '@nebula/runtime'
import { rereadSource, valuesSource } from './letter-source.ts'
import type { LetterSelection } from './letters.ts'
import { letterFiles } from './letters.ts'
import { lockPipeline, RunRecord } from './run-record.ts'
import type { Shipment } from './shipment.ts'
import { lettersOf, openShipments, settleShipment, storeShipment } from './shipment.ts'

export interface ReplayOptions extends LetterSelection, Omit<RunOptions, 'onEvent'> {
  /** Rows of files are read from their files, by the number of their record, and not from what was kept of them. */
  readonly reread?: boolean | undefined
}

/** What a replay did. */
export interface Replayed {
  readonly sent: number
  /** In the target, and no dead letters any more. */
  readonly arrived: number
  /** Failed again, and kept with the new reason. */
  readonly failed: readonly StoredLetter[]
  /** Not sent, and why. */
  readonly held: readonly { readonly letter: StoredLetter; readonly reason: string }[]
  /** Dead letters of other runs, which were not asked for. */
  readonly others: number
  /** Letters of a replay that was killed, of which it turned out that they had arrived. */
  readonly arrivedBefore: number
  /** Of the first run that did not end with its rows in the target; its letters are all still there. */
  readonly interruption?: Report | undefined
}

/** Letters that one run can send: of one stage and one run, and masked alike. */
interface Group {
  readonly stage: StoredLetter['stage']
  readonly masked: readonly string[]
  /** By stream. */
  readonly plans: Map<string, StreamPlan>
  readonly files: { [path: string]: StoredLetter[] }
}

/**
 * Sends dead letters of a pipeline again, and removes those that arrived. Rows are added to their targets, or merged into
 * them where their stream is. Without a `run`, those of the last one. Killed at any moment, nothing is lost, and what
 * arrived is not sent again where the destination keeps its runs itself; where it does not, rows may repeat. Throws
 * `run_locked`, and what stops a run before its first row.
 */
export async function replayLetters(pipeline: Pipeline, options: ReplayOptions = {}): Promise<Replayed> {
  const release = await lockPipeline(pipeline)
  try {
    await using record = await RunRecord.open(pipeline, options.signal)
    let arrivedBefore = 0
    for (const shipment of await openShipments(pipeline))
      arrivedBefore += (await settleShipment(pipeline, shipment, record)).arrived
    const recalled = await record.recall()
    const { groups, held, others } = await choose(pipeline, recalled, options)
    const result = { sent: 0, arrived: 0, failed: [] as StoredLetter[], held, others, arrivedBefore }
    for (const group of groups) {
      const shipment = await storeShipment(pipeline, group.files)
      const report = await runPipeline(replayPipeline(pipeline, { shipment, group, options }), options)
      const settled = await settleShipment(pipeline, shipment, record)
      result.sent += lettersOf(shipment).length
      result.arrived += settled.arrived
      result.failed.push(...settled.failed)
      const ended = report.streams.every(({ status }) => status === 'done')
      if (!ended) return { ...result, interruption: report }
    }
    return result
  } finally {
    await release()
  }
}

/** The letters that are sent, by the run that can send them; and those that cannot be. */
async function choose(
  pipeline: Pipeline,
  recalled: Recalled | undefined,
  options: ReplayOptions,
): Promise<{ groups: Iterable<Group>; held: Replayed['held']; others: number }> {
  const held: { letter: StoredLetter; reason: string }[] = []
  const groups = new Map<string, Group>()
  const rereads = pipeline.source.connector.source?.(pipeline.source.config).reread !== undefined
  const all = await letterFiles(pipeline, { stream: options.stream })
  // Where a run that failed was forgotten, the last one is the one that wrote last.
  const wanted = options.run ?? recalled?.run.id ?? all.at(-1)?.run
  const files = all.filter(({ run }) => run === wanted)
  for (const { path, run, plan, letters } of files) {
    for (const letter of letters) {
      const again = options.reread === true && letter.path !== undefined
      const stage = again ? 'read' : letter.stage
      const reason = obstacle({ ...letter, stage }, recalled, { again, rereads })
      if (reason !== undefined) {
        held.push({ letter, reason })
        continue
      }
      const masked = stage === 'transform' ? (letter.masked ?? []) : []
      const key = JSON.stringify([stage, run, masked])
      const group: Group = groups.get(key) ?? { stage, masked, plans: new Map(), files: {} }
      groups.set(key, group)
      group.plans.set(letter.stream, plan)
      ;(group.files[path] ??= []).push(letter)
    }
  }
  const count = (some: typeof all): number => some.reduce((sum, file) => sum + file.letters.length, 0)
  return { groups: groups.values(), held, others: count(all) - count(files) }
}

/** Why a letter cannot be sent now; undefined: it can. */
function obstacle(
  { stage, stream, path, raw, raw_base64: packed }: StoredLetter,
  recalled: Recalled | undefined,
  { again, rereads }: { readonly again: boolean; readonly rereads: boolean },
): string | undefined {
  const plan = recalled?.run.streams.find(({ request }) => request.stream === stream)
  if (plan && recalled?.ended === false && !recalled.finished.includes(stream))
    return 'its stream is not in its target yet: go on with the run first'
  if (stage !== 'read') return undefined
  if (!rereads || path === undefined) return 'its source cannot read a row by itself'
  if (again || raw !== undefined || packed !== undefined) return undefined
  return 'its text was not kept, because a column is masked: correct the file, and use --reread'
}

interface Sending {
  readonly shipment: Shipment
  readonly group: Group
  readonly options: ReplayOptions
}

/** The pipeline that sends a shipment: from the letters, through what is left to be done, to the end of the targets. */
function replayPipeline(pipeline: Pipeline, sending: Sending): Pipeline {
  const { shipment, group, options } = sending
  const sent = lettersOf(shipment)
  const streams = [...new Set(sent.map(({ letter }) => letter.stream))]
  const { connector, config } = pipeline.source
  const driver = (): SourceDriver => sourceDriver(pipeline.source)
  const from = (source: Connector['source']): Pipeline => ({
    ...pipeline,
    name: shipment.name,
    source: { connector: { ...connector, ...(source && { source }) }, config },
    only: streams,
  })
  if (group.stage === 'write') {
    const plans = [...group.plans.values()]
    const catalog: Catalog = {
      streams: plans.map(({ request: { stream, key }, schema }) => ({
        name: stream,
        schema: { fields: schema.fields.map(({ offers: _offers, ...field }) => field) },
        key,
        wire: [],
      })),
    }
    const targets = plans.map(({ request: { stream, mode }, target, schema: { fields } }): [string, StreamOptions] => {
      return [stream, { target, mode: addingMode(mode), allowLoss: fields.map(({ name }) => name) }]
    })
    const source = (): SourceDriver => valuesSource(async () => catalog, sent)
    return { ...from(source), defaults: ADDED, streams: Object.fromEntries(targets) }
  }
  const asked = (entry: StreamOptions): StreamOptions => added(entry, group)
  const entries = Object.entries(pipeline.streams ?? {})
  const source =
    group.stage === 'read'
      ? (): SourceDriver => rereadSource(driver(), sent, options.reread === true)
      : (): SourceDriver => transformSource(driver(), pipeline, group.masked, sent)
  return {
    ...from(source),
    defaults: { ...ADDED, ...asked(pipeline.defaults ?? {}) },
    streams: Object.fromEntries(entries.map(([name, entry]) => [name, entry === false ? entry : asked(entry)])),
  }
}

const ADDED: StreamOptions = { mode: 'append', maxErrors: Number.MAX_SAFE_INTEGER }

/** How rows get to those that arrived. */
function addingMode(mode: StreamOptions['mode']): Mode {
  return writeMode(mode) === 'merge' ? 'merge' : 'append'
}

/**
 * The options of a stream whose rows are added; conditions that they have met and masks that they wear are left out. The
 * other rows of the stream are not among them, so nothing is deleted.
 */
function added(options: StreamOptions, { stage, masked }: Group): StreamOptions {
  const {
    mode,
    cursor: _cursor,
    lag: _lag,
    deletes: _deletes,
    maxErrors: _maxErrors,
    limit: _limit,
    ...others
  } = options
  const { mask, where, nativeFilter, ...rest } = others
  const left = Object.entries(mask ?? {}).filter(([column]) => !masked.includes(column))
  const filters = stage === 'transform' ? {} : { ...(where && { where }), ...(nativeFilter && { nativeFilter }) }
  return {
    ...rest,
    ...filters,
    ...(mode && { mode: addingMode(mode) }),
    ...(left.length > 0 ? { mask: Object.fromEntries(left) } : {}),
  }
}

/** Rows as their source had them, but for what is masked, which is text. */
function transformSource(
  driver: SourceDriver,
  pipeline: Pipeline,
  masked: readonly string[],
  sent: Parameters<typeof valuesSource>[1],
): SourceDriver {
  return valuesSource(
    async (context) => {
      const { streams } = await driver.discover(context, definedStreams(pipeline))
      return {
        streams: streams.map((info) => ({
          ...info,
          wire: [],
          schema: {
            fields: info.schema.fields.map((field) => {
              const { name, nullable, type, offers = [type] } = field
              if (masked.includes(name)) return { name, nullable, type: { kind: 'utf8' as const } }
              return { ...field, offers: [...offers, { kind: 'utf8' as const }] }
            }),
          },
        })),
      }
    },
    sent,
    driver,
  )
}
