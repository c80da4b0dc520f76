import { describe, expect, test } from 'vitest'
import { taskMemory } from '../src/task-memory.ts'

const MB = 1_000_000
const limits = { parallel: 4, bufferPoolBytes: 32 * MB, maxMemory: undefined, heldBytes: 90 * MB }

describe('taskMemory', () => {
  test('without a limit each task has its share of buffer_pool_bytes, and 16 MB at least', () => {
    expect(taskMemory(limits)).toEqual({ tasks: 4, poolBytes: 16 * MB })
    expect(taskMemory({ ...limits, bufferPoolBytes: 200 * MB })).toEqual({ tasks: 4, poolBytes: 50 * MB })
    expect(taskMemory({ ...limits, parallel: 1 })).toEqual({ tasks: 1, poolBytes: 32 * MB })
  })

  test('under a limit that leaves room changes nothing', () => {
    expect(taskMemory({ ...limits, maxMemory: 1000 * MB })).toEqual({ tasks: 4, poolBytes: 16 * MB })
  })

  test('under a lower one makes pools smaller, then tasks fewer', () => {
    expect(taskMemory({ ...limits, maxMemory: 174 * MB })).toEqual({ tasks: 4, poolBytes: 8 * MB })
    expect(taskMemory({ ...limits, maxMemory: 128 * MB })).toEqual({ tasks: 2, poolBytes: 4.5 * MB })
    expect(taskMemory({ ...limits, maxMemory: 118 * MB })).toEqual({ tasks: 1, poolBytes: 4 * MB })
  })

  test('refuses what has no room for one task, and says what has', () => {
    expect(() => taskMemory({ ...limits, maxMemory: 117 * MB })).toThrow(
      'memory.max_memory is 117MB; this run needs 118MB at least.',
    )
  })
})
