export type { Difference, DifferingBucket } from './compare.ts'
export type { StreamVerification, VerifyReport } from './report.ts'
export { verifyPipeline } from './verify.ts'
export type { VerifyOptions } from './verify.ts'
