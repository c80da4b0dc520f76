/** Text as it may stand in HTML, also between quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

/** What a page may load: nothing but itself. */
export const CONTENT_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"

/** A whole page in one file, light or dark as its reader has it. `title` is plain text, `body` is HTML. */
export function htmlPage(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${CONTENT_POLICY}">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
${body}
</body>
</html>
`
}

const STYLE = `
:root {
  --paper: #ffffff; --ink: #1d2430; --dim: #5b6675; --rule: #dfe3e9; --card: #f6f7f9;
  --rows: #2563c9; --source: #b45309; --destination: #7c3aed; --good: #15803d; --bad: #b91c1c; --warn: #a16207;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161d; --ink: #e6e9ee; --dim: #9aa5b4; --rule: #2c343f; --card: #1a2029;
    --rows: #6ea8ff; --source: #f5a35c; --destination: #b794f6; --good: #4ade80; --bad: #f87171; --warn: #facc15;
  }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem clamp(.75rem, 3vw, 2rem) 3rem;
  background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
p { margin: .25rem 0 }
.dim { color: var(--dim) }
.status { font-weight: 600 }
.done, .finished_before { color: var(--good) }
.failed, .gone { color: var(--bad) }
.partial, .interrupted { color: var(--warn) }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(12.5rem, 45%), 1fr)); gap: .6rem; margin: 1rem 0; padding: 0 }
.facts div { background: var(--card); border-radius: .5rem; padding: .55rem .75rem }
.facts dt { color: var(--dim); font-size: .8rem }
.facts dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.plot { display: grid; grid-template-columns: auto 1fr; column-gap: .5rem; margin: 1.25rem 0 }
.plot figcaption { grid-column: 1 / -1; font-weight: 600; display: flex; flex-wrap: wrap; justify-content: space-between; gap: .1rem 1rem; margin-bottom: .4rem }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-weight: 400; font-size: .85rem; color: var(--dim) }
.key::before { content: ''; display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .35em; background: currentColor }
.key.rows::before, .bar i.rows { background: var(--rows) }
.key.source::before, .bar i.source { background: var(--source) }
.key.destination::before, .bar i.destination { background: var(--destination) }
.plot svg { width: 100%; height: 9rem; display: block; overflow: visible }
.plot .y, .plot .x { display: flex; justify-content: space-between; color: var(--dim); font-size: .75rem; font-variant-numeric: tabular-nums }
.plot .y { flex-direction: column; text-align: right; min-width: 2.5rem; margin: -.55rem 0 }
.plot .x { grid-column: 2 }
.plot path { vector-effect: non-scaling-stroke }
.grid { stroke: var(--rule); fill: none }
.line { fill: none; stroke-width: 1.75 }
.line.rows { stroke: var(--rows) } .line.source { stroke: var(--source) } .line.destination { stroke: var(--destination) }
.area { opacity: .13 }
.area.rows { fill: var(--rows) } .area.source { fill: var(--source) } .area.destination { fill: var(--destination) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--rule); white-space: nowrap }
th { color: var(--dim); font-weight: 500; font-size: .8rem }
th:first-child, td:first-child { text-align: left; padding-left: 0; white-space: normal; min-width: 9rem; overflow-wrap: anywhere }
.bar { display: flex; width: 8rem; height: .65rem; background: var(--rule); border-radius: .2rem; overflow: hidden; margin-left: auto }
.bar i { display: block; height: 100% }
.error { border-left: 3px solid var(--bad); background: var(--card); padding: .6rem .9rem; margin: .6rem 0; border-radius: 0 .4rem .4rem 0; overflow-wrap: anywhere; white-space: pre-line }
`
