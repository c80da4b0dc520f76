const STEP = 0x6d2b79f5

/** The number from 0 to 1 that stands at a place, from 0, of the sequence that a seed gives (mulberry32). */
export function draw(seed: number, index: number): number {
  const state = (seed + Math.imul(STEP, index + 1)) >>> 0
  let mixed = Math.imul(state ^ (state >>> 15), state | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

/** A generator of the numbers from 0 to 1 that a seed gives, from the first on. */
export function random(seed: number): () => number {
  let index = 0
  return () => draw(seed, index++)
}

/** What `NEBULA_SEED` says, else any. What is random prints it. */
export function chooseSeed(): number {
  const given = process.env['NEBULA_SEED']
  return given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
}
