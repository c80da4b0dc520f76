import { NebulaError } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { ByteQueue } from '../src/index.ts'

const sized = (maxBytes: number): ByteQueue<string> => new ByteQueue<string>(maxBytes, (item) => item.length)

async function collect(queue: ByteQueue<string>): Promise<string[]> {
  const items: string[] = []
  for (let item = await queue.next(); item !== undefined; item = await queue.next()) items.push(item)
  return items
}

/** Runs everything that is ready to run, and says whether `promise` has settled by then. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = (): void => {
    settled = true
  }
  promise.then(note, note)
  await new Promise(setImmediate)
  return settled
}

describe('ByteQueue', () => {
  test('gives items in the order in which they came', async () => {
    const queue = sized(100)
    for (const item of ['a', 'bb', 'ccc']) await queue.push(item)
    queue.end()
    expect(await collect(queue)).toEqual(['a', 'bb', 'ccc'])
  })

  test('waits for a producer that is slower', async () => {
    const queue = sized(100)
    const collected = collect(queue)
    expect(await isSettled(collected)).toBe(false)
    await queue.push('late')
    await new Promise(setImmediate)
    await queue.push('later')
    queue.end()
    expect(await collected).toEqual(['late', 'later'])
  })

  test('holds so many bytes and one item more, and lets the producer go on when there is room', async () => {
    const queue = sized(4)
    await queue.push('ab')
    await queue.push('cd')
    const third = queue.push('e')
    expect(await isSettled(third)).toBe(false)
    expect(queue.bytes).toBe(5)
    expect(await queue.next()).toBe('ab')
    await third
    expect(queue.bytes).toBe(3)
  })

  test('a producer whose item takes more room than one item frees waits for the next', async () => {
    const queue = sized(4)
    await queue.push('a')
    await queue.push('bcd')
    const big = queue.push('efghi')
    await queue.next()
    expect(await isSettled(big)).toBe(false)
    await queue.next()
    expect(await isSettled(big)).toBe(false)
    await queue.next()
    await big
    expect(queue.bytes).toBe(0)
  })

  test('without any bound but 0, one item waits at a time', async () => {
    const queue = sized(0)
    const first = queue.push('a')
    expect(await isSettled(first)).toBe(false)
    expect(await queue.next()).toBe('a')
    await first
  })

  test('the consumer gets what is queued before the error', async () => {
    const queue = sized(100)
    await queue.push('a')
    queue.fail(new NebulaError('connection_lost', { message: 'gone' }))
    expect(await queue.next()).toBe('a')
    await expect(queue.next()).rejects.toMatchObject({ code: 'connection_lost' })
  })

  test('the first error counts', async () => {
    const queue = sized(100)
    queue.fail(new Error('first'))
    queue.fail(new Error('second'))
    await expect(collect(queue)).rejects.toThrow('first')
    await expect(queue.push('x')).rejects.toThrow('first')
  })

  test('an error reaches a consumer and a producer that wait', async () => {
    const waitingConsumer = sized(4)
    const collected = collect(waitingConsumer)
    await new Promise(setImmediate)
    waitingConsumer.fail(new Error('broken'))
    await expect(collected).rejects.toThrow('broken')

    const waitingProducer = sized(4)
    const pushed = waitingProducer.push('abcde')
    await new Promise(setImmediate)
    waitingProducer.fail(new Error('broken'))
    await pushed
    await expect(waitingProducer.push('f')).rejects.toThrow('broken')
  })

  test('drain gives what nobody took, and turns away the producer that waits', async () => {
    const queue = sized(4)
    await queue.push('ab')
    await queue.push('cd')
    const pushed = queue.push('ef')
    await new Promise(setImmediate)
    expect(queue.drain()).toEqual(['ab', 'cd', 'ef'])
    expect(queue.bytes).toBe(0)
    await pushed
    await expect(queue.push('gh')).rejects.toMatchObject({ code: 'aborted' })
    expect(await collect(queue)).toEqual([])
  })
})
