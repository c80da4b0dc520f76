import { inject } from 'vitest'

/** What a worker gets by `inject('postgres')` are the servers that no other worker uses. */
Object.assign(inject('postgres'), inject('postgresOfWorkers')[Number(process.env['VITEST_POOL_ID']) - 1])
