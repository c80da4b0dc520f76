import type { NebulaError } from '@nebula/core'
import { ManualClock } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import { Alarm, Deadline } from '../src/index.ts'

describe('Alarm', () => {
  function alarmed(): { clock: ManualClock; alarm: Alarm; rings: number[] } {
    const clock = new ManualClock(0)
    const rings: number[] = []
    return { clock, rings, alarm: new Alarm(clock, () => rings.push(clock.now())) }
  }

  test('rings once, at the time that was set last', async () => {
    const { clock, alarm, rings } = alarmed()
    alarm.set(100)
    await clock.advance(50)
    alarm.set(100)
    await clock.advance(1000)
    alarm.set(100)
    await clock.advance(50)
    alarm.set(10)
    await clock.advance(1000)
    expect(rings).toEqual([150, 1110])
    expect(clock.sleeping).toEqual([])
  })

  test('what is set and cleared often sleeps once', async () => {
    const { clock, alarm, rings } = alarmed()
    for (let i = 0; i < 9; i++) {
      alarm.set(100)
      await clock.advance(10)
      alarm.clear()
    }
    expect(clock.sleeping).toEqual([10])
    await clock.advance(1000)
    expect([rings, clock.sleeping]).toEqual([[], []])
  })

  test('after close nothing sleeps', async () => {
    const { clock, alarm, rings } = alarmed()
    alarm.set(100)
    alarm.close()
    await clock.advance(1000)
    expect([rings, clock.sleeping]).toEqual([[], []])
  })
})

describe('Deadline', () => {
  const limit = { ms: 100, what: 'Reading', key: 'timeouts.read' }

  function bounded(): { clock: ManualClock; deadline: Deadline; late: NebulaError[] } {
    const clock = new ManualClock(0)
    const late: NebulaError[] = []
    return { clock, late, deadline: new Deadline(clock, (error) => late.push(error)) }
  }

  test('tells that work takes too long, and which key to raise', async () => {
    const { clock, deadline, late } = bounded()
    const work = Promise.withResolvers<string>()
    const running = deadline.bound(limit, () => work.promise)
    await clock.advance(99)
    expect(late).toEqual([])
    await clock.advance(1)
    expect(late).toMatchObject([
      { code: 'timeout', message: 'Reading took longer than 100 ms.', fix: expect.stringContaining('timeouts.read') },
    ])
    work.resolve('done')
    expect(await running).toBe('done')
  })

  test('bounds each piece of work, not all of them', async () => {
    const { clock, deadline, late } = bounded()
    for (let i = 0; i < 9; i++) {
      const running = deadline.bound(limit, () => clock.sleep(90))
      await clock.advance(90)
      await running
      await clock.advance(1000)
    }
    expect(late).toEqual([])
    deadline.close()
    expect(clock.sleeping).toEqual([])
  })

  test('waits do not count, also when they overlap', async () => {
    const { clock, deadline, late } = bounded()
    const work = Promise.withResolvers<void>()
    const running = deadline.bound(limit, () => work.promise)
    await clock.advance(60)
    const waits = Promise.all([deadline.wait(clock.sleep(300)), deadline.wait(clock.sleep(500))])
    await clock.advance(500)
    await waits
    await clock.advance(39)
    expect(late).toEqual([])
    await clock.advance(1)
    expect(late).toHaveLength(1)
    work.resolve()
    await running
  })

  test('of a wait that began before the work, only the rest does not count', async () => {
    const { clock, deadline, late } = bounded()
    const waiting = deadline.wait(clock.sleep(1000))
    await clock.advance(900)
    const work = Promise.withResolvers<void>()
    const running = deadline.bound(limit, () => work.promise)
    await clock.advance(199)
    expect(late).toEqual([])
    await clock.advance(1)
    expect(late).toHaveLength(1)
    work.resolve()
    await Promise.all([running, waiting])
  })
})
