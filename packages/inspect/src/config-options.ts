import type { JsonSchema } from '@nebula/core'

/** One key of a configuration, for people. */
export interface ConfigOption {
  /** With its sections before it: `timeouts.request`. */
  readonly key: string
  /** As JSON; empty where there is none, or where the description says it. */
  readonly initial: string
  readonly description: string
}

/** The keys of a schema of `jsonSchemaOf`, those of sections one by one. */
export function configOptions({ properties = {} }: JsonSchema, prefix = ''): ConfigOption[] {
  return Object.entries(properties).flatMap(([key, value]) => {
    const section = [value, ...(value.anyOf ?? [])].find((branch) => branch.properties !== undefined)
    if (section) return configOptions(section, `${prefix}${key}.`)
    const initial = value.default === undefined ? '' : JSON.stringify(value.default)
    return [{ key: prefix + key, initial, description: value.description ?? '' }]
  })
}
