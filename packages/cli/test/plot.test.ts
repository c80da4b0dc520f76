import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { drawPlot, runPlots } from '../src/pages/plot.ts'

const rows = (ms: number[], totals: number[]): string =>
  drawPlot({ title: 'Rows per second', ms, lines: [{ name: 'rows/s', kind: 'rows', totals, scale: 1000 }] })

describe('drawPlot', () => {
  test('draws a step for each pair of samples, on a scale of round numbers', () => {
    const html = rows([0, 1000, 2000], [0, 150, 200])
    // 150 and 50 rows/s under a top of 200: heights 75 and 25 of 100.
    expect(html).toContain('class="line rows" d="M0.0 25.0L500.0 25.0L500.0 75.0L1000.0 75.0"')
    expect(html).toContain('<div class="y"><span>200</span><span>100</span><span>0</span></div>')
    expect(html).toContain('<div class="x"><span>0.0 s</span><span>2.0 s</span></div>')
    expect(html).toContain('aria-label="Rows per second. rows/s: 100 on average; at most 150."')
  })

  test('of nothing, of one sample and of no time is empty and has no NaN', () => {
    for (const html of [rows([], []), rows([5], [7]), rows([5, 5], [1, 2])]) {
      expect(html).not.toMatch(/class="line|NaN|Infinity|undefined/)
    }
  })

  test('what was taken back is no negative speed', () => {
    expect(rows([0, 1000, 2000], [0, 100, 20])).toContain('100.0L1000.0 100.0"')
  })

  test('stays within its frame whatever it is given', () => {
    const samples = fc.array(fc.tuple(fc.nat(5000), fc.double({ min: 0, max: 1e12, noNaN: true })), { maxLength: 50 })
    fc.assert(
      fc.property(samples, (pairs) => {
        const ms = pairs.map(([at]) => at).toSorted((a, b) => a - b)
        const html = rows(
          ms,
          pairs.map(([, total]) => total),
        )
        expect(html).not.toMatch(/NaN|Infinity|undefined/)
        for (const [, path = ''] of html.matchAll(/class="line rows" d="([^"]*)"/g)) {
          for (const [, x, y] of path.matchAll(/[ML](\S+) ([\d.e+-]+)/g)) {
            expect(Number(x)).toBeGreaterThanOrEqual(0)
            expect(Number(x)).toBeLessThanOrEqual(1000)
            expect(Number(y)).toBeGreaterThanOrEqual(0)
            expect(Number(y)).toBeLessThanOrEqual(100)
          }
        }
      }),
    )
  })

  test.each([
    [0.26, '0.3'],
    [999.9, '999.9'],
    [999.96, '1K'],
    [12_345, '12.3K'],
    [999_960, '1M'],
    [2e9, '2B'],
    [4.2e16, '42000T'],
  ])('writes a mean of %d as %s', (mean, text) => {
    const line = { name: 'rows/s', kind: 'rows', totals: [0, mean], scale: 1000 } as const
    expect(drawPlot({ title: '', ms: [0, 1000], lines: [line] })).toContain(`rows/s: ${text} on average`)
  })

  test('escapes what it is given', () => {
    const line = { name: '<i>"', kind: 'rows', totals: [], scale: 1 } as const
    expect(drawPlot({ title: `<b>&'`, ms: [], lines: [line] })).not.toMatch(/<b>|<i>|"&#60;i&#62;"|&'/)
  })
})

test('runPlots shows rows, and how many tasks wait for each end', () => {
  const [speed, waits] = runPlots([0, 1000], { rows: [0, 500], sourceMs: [0, 1500], destinationMs: [0, 250] })
  expect(drawPlot(speed ?? { title: '', ms: [], lines: [] })).toContain('rows/s: 500 on average')
  const html = drawPlot(waits ?? { title: '', ms: [], lines: [] })
  expect(html).toContain('for the source: 1.5 on average; for the destination: 0.3 on average')
})
