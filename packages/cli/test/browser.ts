import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { chromium } from 'playwright-core'

/** The system's Chromium: CHROME_PATH, or the first on PATH. */
export function findChromium(): string | undefined {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const onPath = names.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path))
  return process.env['CHROME_PATH'] ?? onPath
}

/** Starts it without a window; its sandbox does not work for root. */
export function openBrowser(executablePath: string | undefined): Promise<Browser> {
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  return chromium.launch({ args, ...(executablePath === undefined ? {} : { executablePath }) })
}

/** The texts of the cells of the table of streams. */
export function cells(page: Page): Promise<string[][]> {
  return page.evaluate(
    `Array.from(document.querySelectorAll('tbody tr'), (row) => Array.from(row.cells, (cell) => cell.textContent.trim()))`,
  )
}

/** How many pixels of the page lie beside the window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
}

/** How bright text and background are, from 0 to 765. */
export async function brightness(page: Page): Promise<{ readonly ink: number; readonly paper: number }> {
  const colors = '(({ color, backgroundColor }) => [color, backgroundColor])(getComputedStyle(document.body))'
  const [ink = 0, paper = 0] = (await page.evaluate<string[]>(colors)).map((color) =>
    (color.match(/\d+/g) ?? []).slice(0, 3).reduce((sum, part) => sum + Number(part), 0),
  )
  return { ink, paper }
}
