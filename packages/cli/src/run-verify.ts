import type { Pipeline } from '@nebula/runtime'

/** Compares both ends, prints what was found, and returns the exit code. */
export async function runVerify(pipeline: Pipeline, signal: AbortSignal, json: boolean): Promise<number> {
  const [{ verifyPipeline }, { verifyText }] = await Promise.all([import('@nebula/verify'), import('./verify-text.ts')])
  const report = await verifyPipeline(pipeline, { signal })
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${verifyText(report)}\n`)
  return report.exitCode
}
