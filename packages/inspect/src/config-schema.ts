import type { Connector, JsonSchema } from '@nebula/core'
import { jsonSchemaOf } from '@nebula/core'
import { ConnectorFileSchema, PipelineSchema } from '@nebula/runtime'

const DRAFT = 'https://json-schema.org/draft/2020-12/schema'

/** JSON Schema of pipeline files, with the keys of the given connectors at both ends. */
export function pipelineFileSchema(connectors: readonly Connector[]): JsonSchema {
  const { properties, ...rest } = jsonSchemaOf(PipelineSchema)
  return {
    $schema: DRAFT,
    title: 'Nebula pipeline',
    ...rest,
    properties: {
      ...properties,
      source: endpointSchema(connectors.filter(({ source }) => source)),
      destination: endpointSchema(connectors.filter(({ destination }) => destination)),
    },
  }
}

/** JSON Schema of the file of one connector. */
export function connectorFileSchema(connector: Connector): JsonSchema {
  const { properties: own } = jsonSchemaOf(ConnectorFileSchema)
  const { properties, required, ...rest } = jsonSchemaOf(connector.config)
  const { source, destination } = connector
  return {
    $schema: DRAFT,
    title: `Nebula connector ${connector.name}`,
    ...rest,
    properties: {
      ...own,
      type: { enum: [...(source ? ['source'] : []), ...(destination ? ['destination'] : [])] },
      connector: { const: connector.name },
      ...properties,
    },
    required: ['type', 'connector', ...((required ?? []) as string[])],
  }
}

/** Any connector may be named; those that are known have their keys checked. */
function endpointSchema(connectors: readonly Connector[]): JsonSchema {
  return {
    type: 'object',
    required: ['connector'],
    properties: { connector: { type: 'string', examples: connectors.map(({ name }) => name) } },
    allOf: connectors.map((connector) => {
      const { $defs: _, properties, ...rest } = jsonSchemaOf(connector.config)
      return {
        if: { properties: { connector: { const: connector.name } } },
        // oxlint-disable-next-line unicorn/no-thenable
        then: { ...rest, properties: { connector: {}, ...properties } },
      }
    }),
  }
}
