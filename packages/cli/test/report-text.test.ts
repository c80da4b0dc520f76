import { describe, expect, test } from 'vitest'
import { reportText } from '../src/report-text.ts'
import { runReport as report, streamReport as stream } from './reports.ts'

describe('reportText', () => {
  test('is a table of streams and a line of sums', () => {
    expect(
      reportText(
        report([
          stream('orders'),
          stream('public.lines', { target: 'lines', status: 'finished_before', read: 0, written: 0, bytes: 0 }),
        ]),
      ),
    ).toBe(
      [
        'stream                  status            read  written  filtered  rejected    bytes',
        'orders                  done             1,234    1,234         0         0  56.8 kB',
        'public.lines  -> lines  finished before      0        0         0         0      0 B',
        '',
        'done: 1,234 rows in 12.3 s (100 rows/s, 384 per CPU second), CPU 3.2 s, peak memory 123.4 MB, waited 2.5 s for the source, 1.0 s for the destination',
      ].join('\n'),
    )
  })

  test('says why a stream failed and what to do, once', () => {
    const error = { code: 'row_rejected', message: 'line 3: it does not fit.', fix: 'Mend it.', place: 'line 3' }
    const text = reportText(report([stream('orders', { status: 'failed', error })], { status: 'failed', exitCode: 4 }))
    expect(text).toContain('\nerror row_rejected (orders): line 3: it does not fit.\n  what to do: Mend it.\n')
    expect(text).toMatch(/\nfailed: /)
  })

  test('says that it went on, what began again, and where rejected rows are', () => {
    const text = reportText(
      report([stream('orders', { resumed: 34, rejected: 2 }), stream('lines', { resumed: 1000 })], {
        resumed: true,
        restarted: [{ stream: 'lines', reason: 'its columns changed' }],
        deadLetters: '/state/letters',
        status: 'partial',
      }),
    )
    expect(text).toContain('lines began again: its columns changed\n')
    expect(text).toContain('went on with an interrupted run: 1,034 rows were already there\n')
    expect(text).toContain('rejected rows are kept in /state/letters\n')
    expect(text).toContain('\ndone in part: ')
  })

  test.each([
    [0, 'nothing of it was committed'],
    [1, '1 row was already there'],
  ])('of an interrupted run that had committed %i rows', (resumed, there) => {
    const text = reportText(report([stream('orders', { resumed })], { resumed: true }))
    expect(text).toContain(`went on with an interrupted run: ${there}\n`)
  })

  test('tells how to go on when it was interrupted', () => {
    expect(reportText(report([stream('orders')], { status: 'interrupted' }))).toContain(
      'interrupted; the same command goes on from here: ',
    )
  })

  test('names the page, what was lost by consent, and retries', () => {
    const lossy = [{ column: 'avatar', why: 'it is cut' }]
    const text = reportText(report([stream('users', { lossy, retries: 1 }), stream('o', { retries: 2 })]), '/s/p.html')
    expect(text).toContain('users.avatar: values may have changed, as allowed: it is cut\n')
    expect(text).toContain('report with plots: /s/p.html\n')
    expect(text).toMatch(/0 s for the destination, 3 retries$/)
  })

  test('says how many values are in the overflow column, where there are any', () => {
    const text = reportText(report([stream('users', { overflowed: 1234 }), stream('orders')]))
    expect(text).toContain('users: values kept in the overflow column, for their columns cannot hold them: 1,234\n')
    expect(text).not.toContain('orders:')
  })

  test('passes no control character of a name to the terminal', () => {
    expect(reportText(report([stream('a\u001B[2Jb')]))).toContain('a?[2Jb')
  })
})
