import { certifyPostgres } from './certify-postgres.ts'

certifyPostgres('18')
