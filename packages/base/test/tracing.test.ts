import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { NebulaError } from '@nebula/core'
import { TracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createTrace, untraced } from '../src/index.ts'

const exporter = new InMemorySpanExporter()

beforeEach(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager())
  trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }))
})
afterEach(() => {
  trace.disable()
  context.disable()
  exporter.reset()
})

test('work inside work is a span inside a span, and the result passes', async () => {
  const traced = await createTrace()
  const result = await traced('task', { stream: 'orders' }, () => traced('commit', {}, async () => 42))
  expect(result).toBe(42)
  const [commit, task] = exporter.getFinishedSpans()
  expect(task).toMatchObject({ name: 'task', attributes: { stream: 'orders' }, status: { code: 0 } })
  expect(commit).toMatchObject({ name: 'commit', parentSpanContext: { spanId: task?.spanContext().spanId } })
})

test('an error passes, and its span has its code and not its message', async () => {
  const traced = await createTrace()
  const error = new NebulaError('timeout', { message: 'hunter2' })
  await expect(traced('commit', {}, () => Promise.reject(error))).rejects.toBe(error)
  const [span] = exporter.getFinishedSpans()
  expect(span).toMatchObject({ attributes: { 'error.type': 'timeout' }, status: { code: 2, message: 'timeout' } })
  expect(span?.events).toEqual([])
})

test('untraced makes no span', async () => {
  expect(await untraced('task', {}, async () => 42)).toBe(42)
  expect(exporter.getFinishedSpans()).toEqual([])
})
