// Nanoseconds a value for parseColumn and formatColumn: `node packages/core/bench/text.bench.mjs [TYPE...]`, Node 24.
// The best of many short runs, so that a busy machine changes little.
import { BufferPool, BytesBuilder, columnBuilder, formatColumn, parseColumn, parseType, utf8 } from '../src/index.ts'

const ROWS = 2000
const RUNS = 3000

const pad = (value, width) => String(Math.floor(value)).padStart(width, '0')
const moment = () => new Date(Math.floor(Math.random() * 2e12)).toISOString()

/** A type, and random texts of it as files have them. */
const CASES = [
  ['bool', () => String(Math.random() < 0.5)],
  ['int32', () => pad(1e7 + Math.random() * 8e7, 8)],
  ['int64', () => String(Math.floor(Math.random() * 1e10))],
  ['decimal(15,2)', () => (Math.random() * 1e5).toFixed(2)],
  ['decimal(38,10)', () => `${pad(Math.random() * 1e12, 1)}.${pad(Math.random() * 1e10, 10)}`],
  ['date', () => moment().slice(0, 10)],
  ['time', () => moment().slice(11, 19)],
  ['timestamp', () => moment().slice(0, 19).replace('T', ' ')],
  ['timestamptz', () => `${moment().slice(0, 23).replace('T', ' ')}+00`],
  ['float64', () => (Math.random() * 1e4).toFixed(3)],
  ['float64', () => String(Math.random() * 1e4)],
  ['float32', () => (Math.random() * 1e4).toFixed(2)],
  ['uuid', () => crypto.randomUUID()],
  ['utf8', () => `customer#${pad(Math.random() * 1e9, 9)}`],
  ['json', () => `{"a":${pad(Math.random() * 1e5, 1)},"b":"xyzzy"}`],
]

const only = process.argv.slice(2)
for (const [name, text] of CASES) if (only.length === 0 || only.includes(name)) measure(name, text)

function measure(name, text) {
  const texts = Array.from({ length: ROWS }, text)
  const builder = columnBuilder(parseType(name), new BufferPool(1e9))
  const out = new BytesBuilder(utf8, new BufferPool(1e9))
  const slices = slicesOf(texts)
  let [parsing, formatting] = [Infinity, Infinity]
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    parseColumn(slices, builder, (row) => {
      throw new Error(`${texts[row]} is no ${name}`)
    })
    const middle = performance.now()
    formatColumn(builder.finish(), out)
    parsing = Math.min(parsing, middle - start)
    formatting = Math.min(formatting, performance.now() - middle)
  }
  const ns = (ms) => ((ms * 1e6) / ROWS).toFixed(1).padStart(6)
  process.stdout.write(`${name.padEnd(16)} parse ${ns(parsing)}  format ${ns(formatting)}  ${texts[0]}\n`)
}

/** One field of three, as a frame of CSV has it. */
function slicesOf(texts) {
  const data = new TextEncoder().encode(texts.map((text) => `${text},`).join(''))
  const starts = new Int32Array(texts.length * 3)
  const ends = new Int32Array(texts.length * 3)
  let at = 0
  for (const [row, text] of texts.entries()) {
    starts[row * 3 + 1] = at
    ends[row * 3 + 1] = at + text.length
    at += text.length + 1
  }
  return { data, starts, ends, base: 1, stride: 3, rows: texts.length }
}
