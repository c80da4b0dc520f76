import { defineConnector, register } from '@nebula/runtime'
import { PostgresConfig } from './config.ts'
import { PostgresDestination } from './destination.ts'
import { PostgresSource } from './source.ts'

export const postgres = defineConnector<PostgresConfig>({
  contract: 1,
  name: 'postgres',
  version: '0.1.0',
  config: PostgresConfig,
  fromLocator: (locator) => ({ url: locator }),
  source: (config) => new PostgresSource(config),
  destination: (config) => new PostgresDestination(config),
})

register(postgres)
