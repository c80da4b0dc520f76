// Nanoseconds a value for appendShortSha256 and for a call of node:crypto each: `node packages/core/bench/sha256.bench.mjs`.
// The best of many short runs, so that a busy machine changes little.
import { hash } from 'node:crypto'
import { appendShortSha256, BufferPool, BytesBuilder, SHORT_SHA256_BYTES, utf8 } from '../src/index.ts'

const ROWS = 2000
const RUNS = 500

for (const bytes of [8, 30, SHORT_SHA256_BYTES]) measure(bytes)

function measure(bytes) {
  const data = Uint8Array.from({ length: ROWS * bytes }, (_, i) => 97 + ((i * 7919) % 26))
  const view = new DataView(data.buffer)
  const out = new BytesBuilder(utf8, new BufferPool(1e9))
  let [own, engine] = [Infinity, Infinity]
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now()
    fill(out, (row) => appendShortSha256(view, row * bytes, row * bytes + bytes, out))
    const middle = performance.now()
    const before = Buffer.from(out.data.subarray(0, out.size))
    const again = performance.now()
    fill(out, (row) => appendHex(out, hash('sha256', data.subarray(row * bytes, row * bytes + bytes), 'hex')))
    own = Math.min(own, middle - start)
    engine = Math.min(engine, performance.now() - again)
    if (!before.equals(out.data.subarray(0, out.size))) throw new Error('the digests differ')
  }
  const ns = (ms) => ((ms * 1e6) / ROWS).toFixed(0).padStart(6)
  process.stdout.write(`${String(bytes).padStart(5)} bytes: appendShortSha256 ${ns(own)}  node:crypto ${ns(engine)}\n`)
}

function fill(out, append) {
  out.start(ROWS)
  out.ensure(ROWS * 64)
  for (let row = 0; row < ROWS; row++) append(row)
}

function appendHex(out, hex) {
  for (let i = 0; i < hex.length; i++) out.data[out.size++] = hex.charCodeAt(i)
}
