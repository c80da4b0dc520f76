import { inject } from 'vitest'

const worker = Number(process.env['VITEST_POOL_ID']) - 1

/** What a worker gets by `inject('postgres')` and `inject('mongo')` are the servers that no other worker uses. */
Object.assign(inject('postgres'), inject('postgresOfWorkers')[worker])
Object.assign(inject('mongo'), inject('mongoOfWorkers')[worker])
