import { GROUPS } from '@nebula/testkit'
import { describe, inject } from 'vitest'
import { certifyMongo } from './certify-mongo.ts'

const { kind } = inject('mongo')

// What is exactly once in transactions is at least once without them, and then the suite asks for no more.
describe.skipIf(kind === 'none')(
  `the suite on a ${kind === 'real' ? 'real MongoDB' : 'stand-in, without transactions'}`,
  () => {
    certifyMongo(GROUPS.filter((group) => group !== 'faults'))
  },
)
