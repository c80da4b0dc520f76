import { GROUPS } from '@nebula/testkit'
import { certifyMongo } from './certify-mongo.ts'

certifyMongo(GROUPS.filter((group) => group !== 'faults'))
