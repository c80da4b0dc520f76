export { ASSUMED_BYTES_PER_SECOND, planPipeline } from './plan-pipeline.ts'
export type {
  PipelinePlan,
  PlanEstimate,
  PlannedColumn,
  PlannedSchema,
  PlannedStream,
  PlanProblem,
} from './plan-pipeline.ts'
