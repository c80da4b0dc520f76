export { ByteQueue } from './byte-queue.ts'
export { systemClock } from './clock.ts'
export { parseConnectionUrl } from './connection-url.ts'
export type { ConnectionUrl } from './connection-url.ts'
export { createContext, withSignal } from './context.ts'
export type { ContextOptions } from './context.ts'
export { readJsonFile, replaceFile, writeDurably } from './durable-file.ts'
export { fileError } from './file-error.ts'
export { LendingSocket } from './lending-socket.ts'
export { Managed } from './lifecycle.ts'
export { lineLogger, silentLogger } from './logger.ts'
export type { LogLevel } from './logger.ts'
export { addCounts, NO_COUNTS, StreamMeter } from './meter.ts'
export { createRecorder, silentRecorder } from './metrics.ts'
export type { BreakerState, Recorder, Side } from './metrics.ts'
export { Pool } from './pool.ts'
export type { Pooled } from './pool.ts'
export { History, readProgress, writeProgress } from './progress.ts'
export type {
  RunHistory,
  RunProgress,
  RunState,
  Series,
  StreamProgress,
  StreamState,
  TotalHistory,
} from './progress.ts'
export { ProgressKeeper } from './progress-keeper.ts'
export type { PlannedProgress, ProgressOptions } from './progress-keeper.ts'
export { throwIfAborted, withTimeout } from './timeout.ts'
export { tlsOptions } from './tls.ts'
export { createTrace, untraced } from './tracing.ts'
export type { Trace } from './tracing.ts'
