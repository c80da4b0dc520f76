import { mkdir, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { get, request } from 'node:http'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createRecorder, History, replaceFile, silentLogger, systemClock } from '@nebula/base'
import type { RunProgress } from '@nebula/base'
import { afterEach, describe, expect, test } from 'vitest'
import { parseAddress } from '../src/serve/address.ts'
import { ProgressFeed } from '../src/serve/progress-feed.ts'
import type { ProgressMessage } from '../src/serve/progress-stream.ts'
import { collectMetrics, progressMetrics } from '../src/serve/prometheus.ts'
import type { Serving } from '../src/serve/server.ts'
import { serveProgress } from '../src/serve/server.ts'
import { nebula, useFolder } from './harness.ts'

const folder = useFolder()
const file = (): string => join(folder(), 'shop.progress.json')
const opened: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

function progress(samples: number, more: Partial<RunProgress> = {}): RunProgress {
  const counts = { read: samples * 10, written: 8, filtered: 0, rejected: 2, bytes: 100, durable: 5 }
  const waits = { sourceMs: 1500, destinationMs: 250, retries: 0, partitions: 2, partitionsDone: 1 }
  const stream = { stream: 'or"ders', target: 't', ...counts, ...waits, estimatedRows: undefined }
  const history = new History(['orders'])
  for (let i = 1; i <= samples; i++) history.sample(i * 1000, [{ ...stream, read: i * 10 }])
  const times = { startedAt: 5000, updatedAt: Date.now(), intervalMs: 1000 }
  const streams = [{ ...stream, status: 'running' as const }]
  const run = { pid: process.pid, pipeline: 'shop', run: 'r1', status: 'running' as const }
  return { version: 1, ...run, ...times, streams, history: history.total, ...more }
}

async function write(content: RunProgress): Promise<void> {
  await replaceFile(file(), JSON.stringify(content))
}

async function serve(ownOnly = false): Promise<{ serving: Serving; feed: ProgressFeed }> {
  const feed = new ProgressFeed({ path: file(), ownOnly, clock: systemClock, logger: silentLogger })
  await feed.refresh()
  const prometheus = await progressMetrics(feed)
  const serving = await serveProgress({ address: parseAddress('0'), feed, metrics: prometheus.collect })
  opened.push(prometheus.close, () => serving.close())
  return { serving, feed }
}

async function fetched(url: string): Promise<[number, string]> {
  const response = await fetch(url)
  return [response.status, await response.text()]
}

/** The messages of a stream, one at a time. */
async function* messages(response: IncomingMessage): AsyncGenerator<{ id: string; data: ProgressMessage }> {
  let text = ''
  for await (const chunk of response) {
    text += String(chunk)
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const fields = new Map(
        text
          .slice(0, end)
          .split('\n')
          .map((line) => line.split(/: (.*)/s, 2) as [string, string]),
      )
      text = text.slice(end + 2)
      const data = fields.get('data')
      if (data !== undefined) yield { id: fields.get('id') ?? '', data: JSON.parse(data) as ProgressMessage }
    }
  }
}

function listen(url: string, headers: { [name: string]: string } = {}): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => get(`${url}progress`, { headers }, resolve).on('error', reject))
}

describe('parseAddress', () => {
  test.each([
    ['8080', { host: '127.0.0.1', port: 8080 }],
    ['0.0.0.0:80', { host: '0.0.0.0', port: 80 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::1]:8080', { host: '::1', port: 8080 }],
  ])('%s', (text, expected) => {
    expect(parseAddress(text)).toEqual(expected)
  })

  test.each(['', 'x', '70000', '::1:80', 'host:', ':80', '-1', '1e3'])('refuses "%s"', (text) => {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: 'usage' }) as Error)
  })
})

describe('the server', () => {
  test('lives before there is a run, and is ready from its plan on unless it failed', async () => {
    const { serving, feed } = await serve()
    const ready = async (status?: RunProgress['status']): Promise<[number, string]> => {
      if (status) await write(progress(1, { status }))
      await feed.refresh()
      expect(await fetched(`${serving.url}healthz`)).toEqual([200, 'ok\n'])
      return fetched(`${serving.url}readyz`)
    }
    expect(await ready()).toEqual([503, 'no run\n'])
    expect(await ready('planning')).toEqual([503, 'planning\n'])
    expect(await ready('running')).toEqual([200, 'running\n'])
    expect(await ready('done')).toEqual([200, 'done\n'])
    expect(await ready('failed')).toEqual([503, 'failed\n'])
  })

  test('says that a silent run is gone when its process is', async () => {
    await write(progress(1, { pid: 0x7fffffff, updatedAt: Date.now() - 60_000 }))
    const { serving } = await serve()
    expect(await fetched(`${serving.url}readyz`)).toEqual([503, 'gone\n'])
  })

  test('does not take the run of another process for its own', async () => {
    await write(progress(1, { pid: process.pid + 1 }))
    const { serving } = await serve(true)
    expect(await fetched(`${serving.url}readyz`)).toEqual([503, 'no run\n'])
  })

  test('tells metrics in the form of Prometheus, with names escaped', async () => {
    await write(progress(3))
    const { serving } = await serve()
    const response = await fetch(`${serving.url}metrics`)
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const lines = (await response.text()).split('\n').map((line) => line.replace(/,?otel_scope_name="nebula"/, ''))
    expect(lines).toContain('# TYPE nebula_rows_total counter')
    expect(lines).toContain('nebula_rows_total{pipeline="shop",stream="or\\"ders",side="source"} 30')
    expect(lines).toContain('nebula_rows_durable_total{pipeline="shop",stream="or\\"ders"} 5')
    expect(lines.find((line) => line.startsWith('nebula_waiting'))).toMatch(/side="source"\} 1\.5$/)
    expect(lines.find((line) => line.startsWith('nebula_start_time'))).toMatch(/ 5$/)
  })

  test('sends all there is, then what was added; and to who comes back only what it missed', async () => {
    await write(progress(2))
    const { serving, feed } = await serve()
    const response = await listen(serving.url)
    expect(response.headers['content-type']).toBe('text/event-stream; charset=utf-8')
    const stream = messages(response)
    const first = await stream.next()
    expect(first.value).toMatchObject({ id: '5000:2000', data: { appends: false, history: { ms: [1000, 2000] } } })
    await write(progress(3, { updatedAt: Date.now() + 1 }))
    await feed.refresh()
    const second = await stream.next()
    expect(second.value).toMatchObject({
      id: '5000:3000',
      data: { appends: true, history: { ms: [3000], rows: [30] } },
    })
    response.destroy()
    const again = messages(await listen(serving.url, { 'last-event-id': '5000:1000' }))
    expect((await again.next()).value).toMatchObject({ data: { appends: true, history: { ms: [2000, 3000] } } })
    const another = messages(await listen(serving.url, { 'last-event-id': '4000:9000' }))
    expect((await another.next()).value).toMatchObject({
      data: { appends: false, history: { ms: [1000, 2000, 3000] } },
    })
  })

  test('closes at once though clients listen, and they get the end', async () => {
    await write(progress(1))
    const { serving } = await serve()
    const stream = messages(await listen(serving.url))
    await stream.next()
    await write(progress(2, { status: 'done', updatedAt: Date.now() + 1 }))
    const closing = serving.close()
    expect((await stream.next()).value).toMatchObject({ data: { status: 'done' } })
    expect((await stream.next()).done).toBe(true)
    await closing
    await expect(fetch(serving.url)).rejects.toThrow('fetch failed')
  })

  test('answers only what it is asked and only to this machine', async () => {
    const { serving } = await serve()
    const status = (options: object): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const sent = request(serving.url, options, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        sent.on('error', reject).end()
      })
    expect(await status({})).toBe(200)
    expect(await status({ method: 'HEAD' })).toBe(200)
    expect(await status({ method: 'POST' })).toBe(405)
    expect(await status({ path: '/etc/passwd' })).toBe(404)
    expect(await status({ headers: { host: 'evil.example' } })).toBe(403)
  })

  test('the page loads nothing from elsewhere', async () => {
    const { serving } = await serve()
    const response = await fetch(serving.url)
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(await response.text()).not.toMatch(/https?:|src=|@import/)
  })
})

test('a run that is served counts for Prometheus what it counts for OpenTelemetry, until it is closed', async () => {
  const prometheus = await collectMetrics()
  const recorder = await createRecorder('shop')
  recorder.batch('orders', 'source', 10, 100)
  recorder.failed('connection_lost')
  const lines = (await prometheus.collect()).split('\n').map((line) => line.replace(/,?otel_scope_name="nebula"/, ''))
  expect(lines).toContain('nebula_rows_total{pipeline="shop",stream="orders",side="source"} 10')
  expect(lines).toContain('nebula_errors_total{pipeline="shop",code="connection_lost"} 1')
  await prometheus.close()
  const later = await collectMetrics()
  expect(await later.collect()).not.toContain('nebula_rows_total')
  await later.close()
})

describe('a feed', () => {
  test('looks again by itself, and tells of damage once', async () => {
    let wake = (): void => {}
    const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => (wake = resolve)) }
    const warnings: string[] = []
    const logger = { ...silentLogger, warn: (message: string) => warnings.push(message) }
    const feed = new ProgressFeed({ path: file(), ownOnly: false, clock, logger })
    await feed.start()
    expect(feed.current).toBeUndefined()
    await write(progress(1))
    const changed = new Promise<void>((resolve) => feed.onChange(resolve))
    wake()
    await changed
    expect(feed.current).toMatchObject({ status: 'running' })
    await writeFile(file(), '{')
    await feed.refresh()
    await feed.refresh()
    expect(warnings).toEqual(['the progress cannot be read'])
    expect(feed.current).toMatchObject({ status: 'running' })
    const closed = feed.close()
    wake()
    await closed
  })
})

describe('nebula', () => {
  async function pipeline(): Promise<string> {
    await mkdir(join(folder(), 'in'))
    await writeFile(join(folder(), 'in', 'orders.csv'), 'id\n1\n')
    const path = join(folder(), 'shop.yaml')
    await writeFile(path, 'source: { connector: csv, path: ./in }\ndestination: { connector: csv, path: ./out }\n')
    return path
  }

  test('run --serve says where, and ends with the run', async () => {
    const { code, stderr } = await nebula('run', await pipeline(), '--serve', '0', '--json')
    expect(code).toBe(0)
    expect(stderr).toMatch(/^watch it at http:\/\/127\.0\.0\.1:\d+\/\n$/)
  })

  test.each(['run', 'serve'])('%s at an address that is taken or is none says so', async (verb) => {
    const file = await pipeline()
    const option = verb === 'run' ? '--serve' : '--address'
    const taken = createServer()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const { port } = taken.address() as AddressInfo
    try {
      const { code, stderr } = await nebula(verb, file, option, String(port))
      expect(code).toBe(2)
      expect(stderr).toBe(
        `error usage: Cannot serve at 127.0.0.1:${port}: something else listens there.\n` +
          '  what to do: Choose another address, or port 0 for any free port.\n',
      )
    } finally {
      await new Promise((resolve) => taken.close(resolve))
    }
    expect((await nebula(verb, file, option, 'nowhere')).stderr).toContain('"nowhere" is no address.')
  })

  test('serve serves until it is told to stop', async () => {
    const file = await pipeline()
    expect((await nebula('run', file)).code).toBe(0)
    const before = process.listenerCount('SIGTERM')
    const serving = nebula('serve', file, '--address', '0', '--json')
    while (process.listenerCount('SIGTERM') === before) await new Promise(setImmediate)
    process.emit('SIGTERM')
    const { code, stdout } = await serving
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual({ url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/$/) as unknown })
  })
})
