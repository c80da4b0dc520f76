import { createRequire } from 'node:module'
import type * as Driver from 'mongodb'

const require = createRequire(import.meta.url)

/** The driver, loaded when it is needed: a run that does not come to MongoDB does without. */
export function driver(): typeof Driver {
  return require('mongodb') as typeof Driver
}
