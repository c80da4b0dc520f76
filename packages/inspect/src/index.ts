export { connectorFileSchema, pipelineFileSchema } from './config-schema.ts'
export { ASSUMED_BYTES_PER_SECOND, planPipeline } from './plan-pipeline.ts'
export type {
  PipelinePlan,
  PlanEstimate,
  PlannedColumn,
  PlannedSchema,
  PlannedStream,
  PlanProblem,
} from './plan-pipeline.ts'
export { withEnd } from './open-end.ts'
export { diffStreams } from './schema-diff.ts'
export type { ColumnChange, StreamChange } from './schema-diff.ts'
