import { acceptStream } from '@nebula/base'
import type { Acceptance, Mode, TargetInfo } from '@nebula/core'
import type { Place } from './place.ts'
import type { Table } from './table.ts'

/** What the destination of a place says of a table: what it promises may depend on its server. */
export async function acceptanceOf(
  place: Place,
  { name, fields, key = [] }: Pick<Table, 'name' | 'fields' | 'key'>,
  mode: Mode = 'overwrite',
  target?: TargetInfo,
): Promise<Acceptance> {
  const driver = await place.openDestination()
  const columns = fields.map((column) => column.name)
  const request = { stream: name, mode, columns, key }
  return acceptStream(driver, { request, schema: { fields }, wire: [], target })
}
