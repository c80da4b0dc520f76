import { renameSync, writeFileSync } from 'node:fs'
import { fileError } from '@nebula/base'
import type { Logger } from '@nebula/core'
import type { Pipeline, Report } from '@nebula/runtime'
import { stateFile } from '@nebula/runtime'
import { reportPage } from './report-page.ts'

/** Writes the report's page beside the report and returns its path; undefined, and a warning, when it cannot be. */
export function saveReportPage(pipeline: Pipeline, report: Report, logger: Logger): string | undefined {
  const path = stateFile(pipeline, 'report.html')
  try {
    writeFileSync(`${path}.tmp`, reportPage(report))
    renameSync(`${path}.tmp`, path)
    return path
  } catch (error) {
    logger.warn('the page of the report cannot be written', { error: fileError(error, path).message })
    return undefined
  }
}
