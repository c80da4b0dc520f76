import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 10

/** Asks until the answer is undefined, which is when nothing is left to wait for. Throws the last answer after `limitMs`. */
export async function eventually(ask: () => unknown, limitMs = 10_000): Promise<void> {
  for (const deadline = Date.now() + limitMs; ;) {
    const left = await ask()
    if (left === undefined) return
    if (Date.now() > deadline) throw new Error(`After ${limitMs} ms there is still ${JSON.stringify(left)}.`)
    await sleep(POLL_MS)
  }
}
