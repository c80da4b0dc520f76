import { basename, dirname, resolve } from 'node:path'
import type { ConfigIssue } from '@nebula/config'
import { check, nothingFound, readConfigFile, refuse, withCamelKeys } from '@nebula/config'
import { nearest, snakeCase } from '@nebula/core'
import { z } from 'zod'
import type { LoadOptions } from './load-pipeline.ts'
import { failuresOf, loaded, loadSection } from './load-pipeline.ts'
import type { Endpoint } from './pipeline.ts'

/** What a connector's file has beside the connector's own keys. */
export const ConnectorFileSchema = z.object({
  type: z.enum(['source', 'destination']).describe('which end of a pipeline it is'),
  connector: z.string().min(1).describe('its name, or a package'),
  tableName: z.string().min(1).optional().describe('the one stream that is meant; default: every stream'),
})

/** A connector by itself, as `check`, `discover` and `preview` take it. */
export interface ConnectorFile {
  readonly name: string
  readonly type: 'source' | 'destination'
  readonly endpoint: Endpoint
  /** `table_name`: the one stream that is meant. */
  readonly stream: string | undefined
}

/** True for a file of one connector, false for a pipeline. Throws what `readConfigFile` throws. */
export async function isConnectorFile(path: string, options: LoadOptions = {}): Promise<boolean> {
  const { tree } = await readConfigFile(path, options.environment ?? process.env)
  return 'connector' in tree && !('source' in tree) && !('destination' in tree)
}

/** Reads the file of one connector and loads it; connects nothing. Every problem of the file is one error. */
export async function loadConnectorFile(path: string, options: LoadOptions = {}): Promise<ConnectorFile> {
  const file = await readConfigFile(path, options.environment ?? process.env)
  const tree = withCamelKeys(file.tree)
  const { type: _, tableName: __, ...section } = tree
  const at = nothingFound()
  const own = check(ConnectorFileSchema, tree, at)
  const [endpoint] = await Promise.allSettled([loadSection(section, dirname(resolve(path)), at)])
  refuse(file, at.issues.map(meaningOwn), failuresOf({ '': endpoint }))
  const { name, type, tableName } = { name: undefined, ...tree, ...own } as z.output<typeof ConnectorFileSchema> & {
    readonly name: string | undefined
  }
  return {
    name: name ?? basename(path).replace(/\.(ya?ml|json)$/, ''),
    type,
    endpoint: loaded(endpoint),
    stream: tableName,
  }
}

/** The connector's schema does not know the keys that stand beside its own. */
function meaningOwn(issue: ConfigIssue): ConfigIssue {
  const key = String(issue.path[0])
  const near = nearest(snakeCase(key), Object.keys(ConnectorFileSchema.shape).map(snakeCase))
  if (!issue.unknownKey || issue.path.length > 1 || near === undefined) return issue
  return { ...issue, text: `unknown key ${snakeCase(key)}; did you mean ${near}?` }
}
