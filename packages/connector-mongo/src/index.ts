import { defineConnector, register } from '@nebula/runtime'
import { MongoConfig } from './config.ts'
import { MongoDestination } from './destination.ts'
import { MongoSource } from './source.ts'

export const mongo = defineConnector<MongoConfig>({
  contract: 1,
  name: 'mongo',
  version: '0.1.0',
  config: MongoConfig,
  fromLocator: (locator) => ({ url: locator }),
  source: (config) => new MongoSource(config),
  destination: (config) => new MongoDestination(config),
})

register(mongo)
