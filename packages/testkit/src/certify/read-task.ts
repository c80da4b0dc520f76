import type { BatchLimits, ReadStream, ReadTask, SourceDriver } from '@nebula/core'
import type { Place } from './place.ts'

/** The task that reads a table of the place in one piece, with a driver that is open. Throws where it is in several. */
export async function readTask(
  place: Place,
  driver: SourceDriver,
  table: string,
  batch: Partial<BatchLimits> = {},
): Promise<ReadTask> {
  const context = place.context()
  const name = place.streamOf(table)
  const { streams } = await driver.discover(context, [])
  const info = streams.find((stream) => stream.name === name)
  if (!info) throw new Error(`The stream ${name} is not discovered.`)
  const { fields } = info.schema
  const columns = fields.map((field) => field.name)
  const request = { stream: name, mode: 'overwrite' as const, columns, key: info.key }
  const stream: ReadStream = { request, schema: info.schema, decode: fields.map((_, index) => index) }
  const plan = await driver.plan?.([stream], Number.MAX_SAFE_INTEGER, undefined, context)
  const [partition, second] = plan?.partitions ?? [{ id: name, stream: name, range: null }]
  if (!partition || second) throw new Error(`${name} is in ${plan?.partitions.length} partitions.`)
  const limits = { rows: 10_000, bytes: 8_000_000, delayMs: 10_000, ...batch }
  return { partition, stream, batch: limits, ...(plan?.snapshot === undefined ? {} : { snapshot: plan.snapshot }) }
}
