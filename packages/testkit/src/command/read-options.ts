import { randomBytes } from 'node:crypto'
import { check, deepCamelKeys, isTree, nothingFound, readConfigFile, refuse } from '@nebula/config'
import type { ConfigFile } from '@nebula/config'
import type { Connector } from '@nebula/core'
import { jsonSchemaOf, NebulaError } from '@nebula/core'
import type { Keys, SubjectOptions } from '../certify/subject.ts'
import { importModule } from './find-connector.ts'

const MODULE = /\.[cm]?[jt]s$/

/** What the suite is told of a connector. Throws `config_invalid` and its like before any check runs. */
export async function readOptions(connector: Connector, path: string | undefined): Promise<SubjectOptions> {
  if (path !== undefined && MODULE.test(path)) return exportedOptions(path)
  const file = path === undefined ? undefined : await readConfigFile(path, process.env)
  const tree = file?.tree ?? defaultKeys(connector)
  const config: SubjectOptions['config'] = ({ folder }) => {
    const word = `certify_${randomBytes(4).toString('hex')}`
    return filled(tree, (text) => text.replaceAll('{folder}', folder).replaceAll('{place}', word)) as Keys
  }
  refuseInvalid(connector, file, await config({ server: undefined, folder: '/tmp' }))
  return { config }
}

async function exportedOptions(path: string): Promise<SubjectOptions> {
  const { options } = (await importModule(path)) as { readonly options?: Partial<SubjectOptions> }
  if (typeof options?.config === 'function') return options as SubjectOptions
  const message = `The module ${path} exports no \`options\` with a function \`config\`.`
  throw new NebulaError('config_invalid', {
    message,
    fix: 'Export what certify() takes: export const options = { config: ... }.',
  })
}

/** A folder is a place for whoever has a path. */
function defaultKeys({ name, config }: Connector): Keys {
  if (jsonSchemaOf(config).properties?.['path']) return { path: '{folder}' }
  throw new NebulaError('config_invalid', {
    message: `Nothing says where the connector ${name} finds an empty place.`,
    fix: 'Give its configuration: nebula-certify PACKAGE --config FILE; see nebula-certify --help.',
  })
}

/** Throws everything that the connector has against its configuration, with line and column. */
function refuseInvalid(connector: Connector, file: ConfigFile | undefined, keys: Keys): void {
  const found = nothingFound()
  check(connector.config, deepCamelKeys(keys), found)
  refuse(file, found.issues, [])
}

function filled(value: unknown, fill: (text: string) => string): unknown {
  if (typeof value === 'string') return fill(value)
  if (Array.isArray(value)) return value.map((item) => filled(item, fill))
  if (!isTree(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, filled(item, fill)]))
}
