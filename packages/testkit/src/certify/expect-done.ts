import type { Report } from '@nebula/runtime'
import { expectThat } from './expect-that.ts'

/** Throws with the errors of its streams unless the run did all that it could. */
export function expectDone(report: Report): void {
  const errors = report.streams.flatMap(({ error }) => (error ? [`${error.code}: ${error.message}`] : []))
  expectThat(report.status === 'done', `The run ended as ${report.status}. ${errors.join(' ')}`)
}
