import { certify } from '@nebula/testkit/certify'
import { csv } from '../src/index.ts'

certify(csv, { config: ({ folder }) => ({ path: folder }) })
