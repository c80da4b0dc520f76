interface PlotLine {
  readonly name: string
  /** Chooses the colour: a class of the page's style. */
  readonly kind: 'rows' | 'source' | 'destination'
  /** Running totals, one for each of `ms`. */
  readonly totals: readonly number[]
  /** Times the growth of `totals` in a millisecond, it is what the plot shows. */
  readonly scale: number
}

export interface Plot {
  readonly title: string
  /** Milliseconds since the run began, ascending. */
  readonly ms: readonly number[]
  readonly lines: readonly PlotLine[]
}

/**
 * Draws how fast totals grew: a step for each pair of samples, as HTML with an inline SVG that takes any width. Pure, and
 * it uses nothing from outside itself, because the live page runs this very text in the browser.
 */
export function drawPlot(plot: Plot): string {
  const WIDTH = 1000
  const HEIGHT = 100
  const escaped = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
  // Not Intl.NumberFormat: its data take longer to load than a short run takes.
  const compact = (value: number): string => {
    const power = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)))
    const scaled = value / 1000 ** power
    return scaled >= 999.95 && power < 4
      ? `1${'KMBT'[power]}`
      : `${Number(scaled.toFixed(1))}${['', 'K', 'M', 'B', 'T'][power]}`
  }
  const span = (plot.ms.at(-1) ?? 0) - (plot.ms[0] ?? 0)
  const steps = plot.lines.map(({ totals, scale }) =>
    plot.ms.slice(1).flatMap((to, i) => {
      const from = plot.ms[i] ?? 0
      // What an attempt read is taken back when it is undone: that is no negative speed.
      const grown = Math.max(0, (totals[i + 1] ?? 0) - (totals[i] ?? 0))
      return to > from ? [{ from, to, rate: (grown * scale) / (to - from) }] : []
    }),
  )
  const highest = Math.max(0, ...steps.flat().map(({ rate }) => rate))
  const unit = 10 ** Math.floor(Math.log10(highest || 1))
  const top = [1, 2, 5, 10].map((factor) => factor * unit).find((value) => value >= highest) ?? 1
  const x = (ms: number): string => (((ms - (plot.ms[0] ?? 0)) / (span || 1)) * WIDTH).toFixed(1)
  const y = (rate: number): string => (HEIGHT - (rate / top) * HEIGHT).toFixed(1)
  const shapes = steps.map((list, i) => {
    const path = list.map(({ from, to, rate }) => `L${x(from)} ${y(rate)}L${x(to)} ${y(rate)}`).join('')
    const kind = plot.lines[i]?.kind ?? 'rows'
    const begin = `M0 ${HEIGHT}`
    return path === ''
      ? ''
      : `<path class="area ${kind}" d="${begin}${path}L${WIDTH} ${HEIGHT}Z"/><path class="line ${kind}" d="${path.replace('L', 'M')}"/>`
  })
  const means = plot.lines.map(({ name, totals, scale }) => {
    const mean = span > 0 ? (((totals.at(-1) ?? 0) - (totals[0] ?? 0)) * scale) / span : 0
    return `${name}: ${compact(mean)} on average`
  })
  const legend = plot.lines.map(({ kind }, i) => `<span class="key ${kind}">${escaped(means[i] ?? '')}</span>`).join('')
  const seconds = (ms = 0): string => `${(ms / 1000).toFixed(ms < 100_000 ? 1 : 0)} s`
  const label = escaped(`${plot.title}. ${means.join('; ')}; at most ${compact(highest)}.`)
  const grid = `<path class="grid" d="M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}"/>`
  return (
    `<figure class="plot"><figcaption>${escaped(plot.title)}<span class="legend">${legend}</span></figcaption>` +
    `<div class="y"><span>${compact(top)}</span><span>${compact(top / 2)}</span><span>0</span></div>` +
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${label}">${grid}${shapes.join('')}</svg>` +
    `<div class="x"><span>${seconds(plot.ms[0])}</span><span>${seconds(plot.ms.at(-1))}</span></div></figure>`
  )
}

/** Throughput, and who waited for whom; from running totals. Runs in the browser, too. */
export function runPlots(
  ms: readonly number[],
  totals: { readonly [total in 'rows' | 'sourceMs' | 'destinationMs']: readonly number[] },
): Plot[] {
  return [
    { title: 'Rows per second', ms, lines: [{ name: 'rows/s', kind: 'rows', totals: totals.rows, scale: 1000 }] },
    {
      title: 'Tasks that wait',
      ms,
      lines: [
        { name: 'for the source', kind: 'source', totals: totals.sourceMs, scale: 1 },
        { name: 'for the destination', kind: 'destination', totals: totals.destinationMs, scale: 1 },
      ],
    },
  ]
}
