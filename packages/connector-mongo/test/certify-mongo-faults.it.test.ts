import { describe, inject } from 'vitest'
import { certifyMongo } from './certify-mongo.ts'

const { kind } = inject('mongo')

// Beside the other groups, because most of it is waiting.
describe.skipIf(kind === 'none')(
  `the faults of the suite on a ${kind === 'real' ? 'real MongoDB' : 'stand-in, without transactions'}`,
  () => {
    certifyMongo(['faults'])
  },
)
