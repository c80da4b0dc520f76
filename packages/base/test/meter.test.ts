import { afterEach, describe, expect, test, vi } from 'vitest'
import { silentLogger, silentRecorder, StreamMeter } from '../src/index.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

describe('StreamMeter', () => {
  const some = { read: 3, written: 2, filtered: 0, rejected: 1, bytes: 30 }

  test('takes back what an attempt did, and keeps what is committed', () => {
    const meter = new StreamMeter('orders', 'target', 4, 100)
    meter.resumed(some)
    meter.moved(some)
    expect(meter.progress).toMatchObject({
      read: 6,
      written: 4,
      rejected: 2,
      bytes: 60,
      durable: 3,
      estimatedRows: 100,
    })
    expect(meter.rejected).toBe(2)
    meter.undone(some)
    expect(meter.progress).toMatchObject({ read: 3, durable: 3 })
    meter.moved(some)
    meter.committed(some)
    expect(meter.counts).toEqual({ read: 6, written: 4, filtered: 0, rejected: 2, bytes: 60 })
    expect(meter.progress).toMatchObject({
      stream: 'orders',
      target: 'target',
      durable: 6,
      partitions: 4,
      partitionsDone: 0,
    })
  })

  test('a commit that took place though its answer was lost is durable, and no second batch', () => {
    const meter = new StreamMeter('orders', 'target', 4, undefined)
    const batches: unknown[] = []
    const durable: number[] = []
    meter.recorder = {
      ...silentRecorder,
      batch: (...args) => batches.push(args),
      committed: (_, rows) => durable.push(rows),
    }
    meter.moved(some)
    meter.undone(some)
    meter.settled(some)
    expect([batches.length, durable]).toEqual([2, [3]])
    expect(meter.progress).toMatchObject({ read: 3, durable: 3 })
  })

  test('adds up waits and retries, and how long its tasks ran', () => {
    vi.spyOn(process, 'hrtime').mockReturnValueOnce([1, 0]).mockReturnValueOnce([2, 5e8])
    const meter = new StreamMeter('orders', 'target', 4, undefined)
    expect(meter.seconds).toBe(0)
    meter.waited('source', 200)
    meter.waited('destination', 50)
    meter.retried('source', 'timeout')
    expect(meter.seconds).toBe(1.7)
    expect(meter.progress).toMatchObject({ sourceMs: 200, destinationMs: 50, retries: 1 })
  })

  test('tells its recorder of batches, commits, waits and retries, and its logger of batches', () => {
    const told: unknown[] = []
    const tell =
      (name: string) =>
      (...args: unknown[]): void => {
        told.push([name, ...args])
      }
    const meter = new StreamMeter('orders', 'target', 4, undefined)
    meter.recorder = {
      ...silentRecorder,
      batch: tell('batch'),
      rejected: tell('rejected'),
      committed: tell('committed'),
      waited: tell('waited'),
      retried: tell('retried'),
    }
    meter.logger = { ...silentLogger, debug: tell('debug') }
    vi.spyOn(process, 'hrtime').mockReturnValueOnce([1, 0]).mockReturnValueOnce([1, 7e8])
    meter.moved(some)
    meter.committed(some)
    meter.waited('source', 20)
    meter.retried('destination', 'timeout')
    expect(told).toEqual([
      ['batch', 'orders', 'source', 3, 30],
      ['batch', 'orders', 'destination', 2, 30],
      ['rejected', 'orders', 1],
      ['debug', 'batch', { stream: 'orders', ...some }],
      ['committed', 'orders', 3, 700],
      ['waited', 'orders', 'source', 20],
      ['retried', 'destination', 'timeout'],
    ])
  })

  test('the lag of a commit does not reach back to rows that were undone', () => {
    const lags: number[] = []
    const meter = new StreamMeter('orders', 'target', 4, undefined)
    meter.recorder = { ...silentRecorder, committed: (_stream, _rows, lagMs) => lags.push(lagMs) }
    vi.spyOn(process, 'hrtime').mockReturnValueOnce([1, 0]).mockReturnValueOnce([5, 0]).mockReturnValueOnce([5, 1e8])
    meter.moved(some)
    meter.undone(some)
    meter.moved(some)
    meter.committed(some)
    expect(lags).toEqual([100])
  })

  test('does not accept an account in which a row is missing', () => {
    const meter = new StreamMeter('orders', 'target', 4, undefined)
    meter.moved(some)
    meter.committed(some)
    meter.requireBalance()
    meter.moved({ ...some, written: 1 })
    meter.committed({ ...some, written: 1 })
    expect(() => meter.requireBalance()).toThrow('6 rows were read, but 3 written, 0 filtered and 2 rejected.')
  })
})
