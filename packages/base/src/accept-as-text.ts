import type { Acceptance, Schema, StreamRequest } from '@nebula/core'
import { utf8 } from '@nebula/core'

/** How a destination without `accept` keeps a stream: every column as text. */
export function acceptAsText(_request: StreamRequest, { fields }: Schema): Acceptance {
  const columns = fields.map(() => ({ as: utf8, type: 'text', fidelity: 'exact' as const }))
  return { columns, ddl: [], guarantee: 'at_least_once', problems: [] }
}
