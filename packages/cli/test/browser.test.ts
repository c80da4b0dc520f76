import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import type { RunProgress } from '@nebula/base'
import { replaceFile } from '@nebula/base'
import type { Report } from '@nebula/runtime'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { countText } from '../src/style.ts'
import { brightness, cells, findChromium, openBrowser, overflow } from './browser.ts'
import { nebula, useFolder } from './harness.ts'

const bin = join(import.meta.dirname, '..', 'src', 'bin.ts')
const HOSTILE = '<img src=x onerror=alert(1)>'
const path = findChromium()

describe.skipIf(path === undefined)(
  'in Chromium (apt-get install chromium, or set CHROME_PATH)',
  { timeout: 60_000 },
  () => {
    const folder = useFolder()
    let browser: Browser
    const faults: string[] = []
    const ends: (() => Promise<unknown>)[] = []

    beforeAll(async () => {
      browser = await openBrowser(path)
    }, 60_000)
    afterAll(() => browser?.close())
    afterEach(async () => {
      for (const end of ends.splice(0)) await end()
      const found = faults.splice(0)
      if (found.length > 0) throw new Error(found.join('\n'))
    })

    /** A page that reports each of its errors, and each request that its own policy refuses. */
    async function open(url: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
      const page = await browser.newPage(options)
      ends.unshift(() => page.close())
      page.on('pageerror', (error) => faults.push(error.message))
      page.on('dialog', (dialog) => {
        faults.push('a name became a script')
        void dialog.dismiss()
      })
      await page.goto(url)
      return page
    }

    /** A pipeline of three streams: one of them fails, and one has a hostile name. */
    async function pipeline(): Promise<string> {
      await mkdir(join(folder(), 'in'))
      const lines = Array.from({ length: 20_000 }, (_, i) => `${i},row ${i}\n`).join('')
      for (const name of ['orders', HOSTILE]) {
        await writeFile(join(folder(), 'in', `${name}.csv`), `id,name\n${lines}`)
      }
      await writeFile(join(folder(), 'in', 'broken.csv'), 'id,n\n1,2\n1,x\n')
      const file = join(folder(), 'shop.yaml')
      const source = 'source: { connector: csv, path: ./in, observability: { metrics_interval: 20ms } }\n'
      await writeFile(
        file,
        `${source}destination: { connector: csv, path: ./out }\nstreams: { '*': {}, broken: { types: { n: int32 } } }\n`,
      )
      return file
    }

    const stored = async <T>(name: string): Promise<T> =>
      JSON.parse(await readFile(join(folder(), '.nebula', name), 'utf8')) as T

    /** `nebula serve FILE` in a process of its own, as the page runs there; returns its URL. */
    async function serve(file: string): Promise<string> {
      const child = spawn(process.execPath, [bin, 'serve', file, '--address', '0'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      ends.push(async () => {
        const ended = once(child, 'exit')
        child.kill()
        expect(await ended).toEqual([0, null])
      })
      const [url] = (await once(createInterface(child.stdout), 'line')) as [string]
      return url
    }

    const plotted = (page: Page): Promise<number> => page.locator('svg path.line').count()

    test('the report opens from disk and shows its numbers, with plots', async () => {
      expect((await nebula('run', await pipeline())).code).toBe(5)
      const report = await stored<Report>('shop.report.json')
      const url = pathToFileURL(join(folder(), '.nebula', 'shop.report.html')).href
      const requests: string[] = []
      const page = await open('about:blank')
      page.on('request', (request) => requests.push(request.url()))
      await page.goto(url)
      expect(requests.filter((to) => !to.startsWith('data:'))).toEqual([url])
      const rows = await cells(page)
      expect(rows.map(([stream, status, ...counts]) => [stream, status, ...counts.slice(0, 4)])).toEqual(
        report.streams.map(({ stream, status, read, written, filtered, rejected }) => [
          stream,
          status,
          ...[read, written, filtered, rejected].map(countText),
        ]),
      )
      expect(await page.locator('dd').first().textContent()).toBe(countText(report.rows))
      expect(await page.locator('.error').textContent()).toContain('row_rejected')
      expect(await plotted(page)).toBe(3)
      const box = await page.locator('svg path.line.rows').boundingBox()
      expect(box?.width).toBeGreaterThan(500)
    })

    test.each([
      ['light', 1200],
      ['dark', 1200],
      ['dark', 360],
    ] as const)('the report is readable in %s at a width of %i', async (colorScheme, width) => {
      await nebula('run', await pipeline())
      const url = pathToFileURL(join(folder(), '.nebula', 'shop.report.html')).href
      const page = await open(url, { colorScheme, viewport: { width, height: 800 } })
      expect(await overflow(page)).toBe(0)
      const { ink, paper } = await brightness(page)
      expect(colorScheme === 'dark' ? ink - paper : paper - ink).toBeGreaterThan(400)
    })

    test('the live page waits for a run, follows it, and shows its end with the numbers of the report', async () => {
      const file = await pipeline()
      const page = await open(await serve(file))
      await page.getByText('waiting for a run').waitFor()
      expect(await page.locator('#status').textContent()).toBe('no run yet')
      const { code } = await nebula('run', file)
      expect(code).toBe(5)
      await page.locator('#status.partial').waitFor()
      const report = await stored<Report>('shop.report.json')
      const rows = await cells(page)
      expect(rows.map(([stream, status, , read]) => [stream, status, read])).toEqual(
        report.streams.map(({ stream, status, read }) => [stream, status, countText(read)]),
      )
      const { history } = await stored<RunProgress>('shop.progress.json')
      expect(await page.locator('#fact-rows').textContent()).toBe(countText(history.rows.at(-1) ?? 0))
      expect(history.rows.at(-1)).toBe(report.streams.reduce((sum, { read }) => sum + read, 0))
      expect(await page.title()).toBe('shop: partial')
      expect(await plotted(page)).toBe(3)
    })

    test('the live page updates while it is open, with a hundred streams, and tells of a failed run', async () => {
      const file = await pipeline()
      await nebula('run', file)
      const ended = await stored<RunProgress>('shop.progress.json')
      const progress = join(folder(), '.nebula', 'shop.progress.json')
      const [first] = ended.streams
      const hundred = (read: number): RunProgress['streams'] =>
        Array.from({ length: 100 }, (_, i) => ({ ...first, stream: `s${i}`, read, status: 'running' }) as never)
      const at = Date.now()
      const series = (...values: number[]): RunProgress['history'] =>
        ({
          ms: [0, 1000, 2000],
          rows: values,
          bytes: values,
          durable: values,
          sourceMs: values,
          destinationMs: values,
        }) as never
      const show = (change: Partial<RunProgress>): Promise<void> =>
        replaceFile(progress, JSON.stringify({ ...ended, pid: process.pid, startedAt: at, ...change }))
      await show({ status: 'running', updatedAt: at + 2000, streams: hundred(20), history: series(0, 500, 2000) })
      const page = await open(await serve(file), { viewport: { width: 360, height: 800 } })
      await page.getByText('s99 to').waitFor()
      expect(await cells(page)).toHaveLength(100)
      expect(await page.locator('#fact-rows').textContent()).toBe('2,000')
      await show({ status: 'running', updatedAt: at + 4000, streams: hundred(60), history: series(0, 500, 6000) })
      await page.getByText('6,000', { exact: true }).first().waitFor()
      expect((await cells(page))[0]?.[7]).toBe('20')
      const error = { code: 'connection_lost', message: `${HOSTILE} went away`, fix: 'Plug it in.' }
      await show({ status: 'failed', updatedAt: at + 5000, streams: [], history: series(0, 0, 0), error })
      await page.locator('#status.failed').waitFor()
      expect(await page.locator('.error').textContent()).toContain(`${HOSTILE} went away`)
      expect(await cells(page)).toEqual([['none']])
      expect(await overflow(page)).toBe(0)
    })
  },
)
