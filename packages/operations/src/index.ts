export { lockPipeline, RunRecord, runningProcess } from './run-record.ts'
