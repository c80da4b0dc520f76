import { BaseConfig, NebulaError, secret } from '@nebula/core'
import { documentOptions, nestingOptions } from '@nebula/formats'

/** Shapes of core's own keys, so that there is one copy of zod. */
const text = BaseConfig.shape.name
const flag = BaseConfig.shape.advanced.unwrap().shape.debug
const count = BaseConfig.shape.performance.unwrap().shape.maxConcurrency.unwrap()

export const MongoConfig = BaseConfig.extend({
  url: secret()
    .optional()
    .describe('mongodb://user:password@host:port/database or mongodb+srv://…; all options of the driver'),
  database: text.describe('default: the one of the url; without any, streams are called database.collection'),
  sample: count.default(1000).describe('documents that are looked at to learn the fields of a collection'),
  documents: flag.describe('read whole documents: _id and one column with the document'),
  snapshot: flag.describe('read all documents as of one moment; takes a replica set or shards of MongoDB 5.0'),
  ...documentOptions,
  ...nestingOptions,
}).refine(({ documents, objects, arrays }) => !documents || (objects === 'json' && arrays === 'json'), {
  path: ['documents'],
  error: 'whole documents have no columns for objects and arrays: leave out documents, or these',
})

export type MongoConfig = (typeof MongoConfig)['_output']

/** Throws `config_invalid` when there is none. */
export function connectionUrl({ url }: MongoConfig): string {
  if (url) return url.reveal()
  throw new NebulaError('config_invalid', {
    message: 'MongoDB needs a url: mongodb://user:password@host:port/database.',
  })
}
