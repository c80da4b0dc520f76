export { createDatabase } from './create-database.ts'
export { postgres } from './postgres.ts'
export type { PostgresOptions, PostgresServer, PostgresVersion } from './postgres.ts'
export { ManualClock } from './manual-clock.ts'
