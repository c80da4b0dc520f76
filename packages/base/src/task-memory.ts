import { availableParallelism } from 'node:os'
import type { BaseConfig } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** How many tasks run at once, and what each may hold before its source waits. */
export interface TaskMemory {
  readonly tasks: number
  readonly poolBytes: number
}

export interface MemoryLimits {
  /** Tasks at once, as asked for. */
  readonly parallel: number
  /** `memory.buffer_pool_bytes`. */
  readonly bufferPoolBytes: number
  /** `memory.max_memory`, the lower one of both ends; undefined: no limit. */
  readonly maxMemory: number | undefined
  /** What the process holds before the first task. */
  readonly heldBytes: number
}

/** The pool of a task, at least, where there is no limit. */
const USUAL_POOL_BYTES = 16_000_000
/** The smallest pool in which a task gets on: two chunks on their way out, and as much on its way in. */
const LEAST_POOL_BYTES = 4_000_000
/** Bytes of the process for each byte of a pool: what sockets, files and the collector have beside it. */
const SHARE = 2
/** By which the heap grows while tasks run, whatever their pools. */
const HEAP_BYTES = 20_000_000

/**
 * Divides memory among tasks. Under a limit there are as many tasks as have room, and their pools are made small enough.
 * Throws `config_invalid`, naming the least limit, when there is no room for one.
 */
export function taskMemory({ parallel, bufferPoolBytes, maxMemory, heldBytes }: MemoryLimits): TaskMemory {
  if (maxMemory === undefined) {
    return { tasks: parallel, poolBytes: Math.max(USUAL_POOL_BYTES, bufferPoolBytes / parallel) }
  }
  const room = (maxMemory - heldBytes - HEAP_BYTES) / SHARE
  if (room < LEAST_POOL_BYTES) {
    const least = heldBytes + HEAP_BYTES + LEAST_POOL_BYTES * SHARE
    throw new NebulaError('config_invalid', {
      message: `memory.max_memory is ${megabytes(maxMemory)}; this run needs ${megabytes(least)} at least.`,
      fix: 'Raise it, or leave it out.',
    })
  }
  const tasks = Math.min(parallel, Math.floor(room / LEAST_POOL_BYTES))
  const usual = Math.max(USUAL_POOL_BYTES, bufferPoolBytes / tasks)
  return { tasks, poolBytes: Math.min(usual, room / tasks) }
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)}MB`
}

/** What a pipeline says of memory. */
interface MemoryAsked {
  readonly parallel?: number | undefined
  readonly source: { readonly config: BaseConfig }
  readonly destination: { readonly config: BaseConfig }
}

/** What a pipeline asks for, and what the process holds now. */
export function memoryLimits(pipeline: MemoryAsked): MemoryLimits {
  return {
    parallel: pipeline.parallel ?? pipeline.source.config.performance.workers ?? availableParallelism(),
    bufferPoolBytes: pipeline.source.config.memory.bufferPoolBytes,
    maxMemory: maxMemoryOf(pipeline),
    heldBytes: process.memoryUsage.rss(),
  }
}

/** The lower one of both ends; undefined: no limit. */
export function maxMemoryOf({ source, destination }: MemoryAsked): number | undefined {
  const limits = [source, destination].flatMap(({ config }) => config.memory.maxMemory ?? [])
  return limits.length > 0 ? Math.min(...limits) : undefined
}
