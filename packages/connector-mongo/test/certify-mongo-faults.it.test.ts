import { certifyMongo } from './certify-mongo.ts'

// Beside the other groups, because most of it is waiting.
certifyMongo(['faults'])
