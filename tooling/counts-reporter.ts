import { writeSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

/** Makes `N passed, N failed` the last line of a run, `, N skipped` added when there are any. */
export default class CountsReporter implements Reporter {
  /** A run that never ends, because its set-up failed, counts as one failure. */
  readonly #counts = { passed: 0, failed: 1, skipped: 0 }

  onInit(): void {
    process.once('exit', () => {
      const { passed, failed, skipped } = this.#counts
      writeSync(1, `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandled.length, skipped: 0 }
    for (const module of modules) {
      // A file that did not load, or a hook that failed, is a failure even where no test ran.
      counts.failed += module.errors().length
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') counts.passed++
        else if (state === 'skipped') counts.skipped++
        else counts.failed++
      }
    }
    Object.assign(this.#counts, counts)
  }
}
