import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { silentLogger } from '@nebula/base'
import type { Pipeline } from '@nebula/runtime'
import { describe, expect, test } from 'vitest'
import { reportPage } from '../src/pages/report-page.ts'
import { saveReportPage } from '../src/pages/save-report-page.ts'
import { useFolder } from './harness.ts'
import { runReport, streamReport } from './reports.ts'

const HOSTILE = `<img src=x onerror=alert(1)>"'&</table>`

describe('reportPage', () => {
  test('shows what the report says', () => {
    const series = { rows: [0, 1234], bytes: [0, 1], durable: [0, 1], sourceMs: [0, 500], destinationMs: [0, 250] }
    const history = { ms: [0, 1000], streams: [{ stream: 'orders', ...series }] }
    const html = reportPage(
      runReport([streamReport('orders', { filtered: 3, rejected: 2, retries: 4, target: 'o' })], { history }),
    )
    expect(html).toContain('<td>1,234</td><td>1,234</td><td>3</td><td>2</td><td>56.8 kB</td><td>617</td><td>4</td>')
    expect(html).toContain('<dt>rows per CPU second</dt><dd>384</dd>')
    expect(html).toContain('rows/s: 1.2K on average')
    expect(html).toContain('for the source: 0.5 on average; for the destination: 0.3 on average')
    expect(html).toContain('aria-label="1.3 s for the source, 0.5 s for the destination"')
    expect(html).toContain('No value was changed but as the pipeline asks.')
  })

  test('names what failed, what was lost by consent, what began again and where rejected rows are', () => {
    const error = { code: 'row_rejected', message: 'line 3: it does not fit', fix: 'Mend it.', place: 'line 3' }
    const lossy = [{ column: 'avatar', why: 'it is cut' }]
    const html = reportPage(
      runReport(
        [
          streamReport('orders', { status: 'failed', error }),
          streamReport('users', { lossy, resumed: 7, overflowed: 1, deleted: 3 }),
        ],
        {
          restarted: [{ stream: 'users', reason: 'its columns changed' }],
          resumed: true,
          deadLetters: '/state/letters',
        },
      ),
    )
    expect(html).toContain('<b>orders: row_rejected</b>\nline 3: it does not fit\nWhat to do: Mend it.')
    expect(html).toContain('Values may have changed, as allow_loss accepts: users.avatar: it is cut')
    expect(html).toContain('users: values kept in the overflow column, for their columns cannot hold them: 1<')
    expect(html).toContain('users: rows deleted that the source no longer has: 3<')
    expect(html).toContain('users began again: its columns changed')
    expect(html).toContain('Went on with an interrupted run: 7 rows were already there.')
    expect(html).toContain('Rejected rows are kept in /state/letters')
    expect(html).not.toContain('No value was changed')
  })

  test('no name from outside becomes markup', () => {
    const error = { code: HOSTILE, message: HOSTILE, fix: HOSTILE }
    const lossy = [{ column: HOSTILE, why: HOSTILE }]
    const html = reportPage(
      runReport([streamReport(HOSTILE, { target: HOSTILE + 2, error, lossy, status: 'failed' })], {
        pipeline: HOSTILE,
        run: HOSTILE,
        restarted: [{ stream: HOSTILE, reason: HOSTILE }],
        deadLetters: HOSTILE,
      }),
    )
    expect(html).not.toContain('<img')
    expect(html.match(/<\/table>/g)).toHaveLength(1)
  })

  test('loads nothing and runs nothing', () => {
    const html = reportPage(runReport([streamReport('orders')]))
    expect(html).not.toMatch(/<script|src=|url\(|@import|https?:/)
  })
})

describe('saveReportPage', () => {
  const folder = useFolder()
  const pipeline = (): Pipeline => ({ name: 'shop', stateFolder: folder() }) as Pipeline

  test('writes the page beside the report', async () => {
    const report = runReport([streamReport('orders')])
    const path = saveReportPage(pipeline(), report, silentLogger)
    expect(path).toBe(join(folder(), 'shop.report.html'))
    expect(await readFile(path ?? '', 'utf8')).toBe(reportPage(report))
    expect(await readdir(folder())).toEqual(['shop.report.html'])
  })

  test('warns when it cannot, for the run itself is done', async () => {
    await mkdir(join(folder(), 'shop.report.html'))
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (message: string) => warnings.push(message) }
    expect(saveReportPage(pipeline(), runReport([]), logger)).toBeUndefined()
    expect(warnings).toEqual(['the page of the report cannot be written'])
  })
})
