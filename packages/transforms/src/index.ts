export { addedColumn } from './added-column.ts'
export type { AddedColumn, AddedValue } from './added-column.ts'
export { checkTransform } from './check-transform.ts'
export type { CheckedTransform } from './check-transform.ts'
export type { TaskFacts } from './column-stage.ts'
export { cursorCondition, cursorProblem, cursorSince } from './cursor-condition.ts'
export { DELETES, deletesProblem } from './deletes.ts'
export type { DeletesOption } from './deletes.ts'
export { defineTransform } from './define-transform.ts'
export type {
  InputBatch,
  InputRow,
  OutputBatch,
  OutputRow,
  OutputValue,
  TransformDefinition,
} from './define-transform.ts'
export { exactValue } from './exact-value.ts'
export { findTransform, loadTransform } from './load-transform.ts'
export type { FoundTransform } from './load-transform.ts'
export { functionSchema } from './row-function.ts'
export { createShaper } from './shaper.ts'
export type { Shaping } from './shaper.ts'
export { changesNothing, METADATA } from './steps.ts'
export type {
  ColumnOrigin,
  ColumnStep,
  ColumnSteps,
  FunctionReference,
  MaskStep,
  Metadata,
  StreamTransform,
} from './steps.ts'
export { RowFilter } from './row-filter.ts'
export { Transformer } from './transformer.ts'
export type { TransformerInput } from './transformer.ts'
