import type { Attributes } from '@opentelemetry/api'
import { toNebulaError } from '@nebula/core'

/** Runs a piece of work inside a span, whose parent is the span that is active. The work's result and error pass. */
export type Trace = <T>(name: string, attributes: Attributes, work: () => Promise<T>) => Promise<T>

/** Traces nothing. */
export const untraced: Trace = (_name, _attributes, work) => work()

/** Spans through the OpenTelemetry API, for whichever tracer provider the program registered; without one, none. */
export async function createTrace(): Promise<Trace> {
  const { SpanStatusCode, trace } = await import('@opentelemetry/api')
  const tracer = trace.getTracer('nebula')
  return (name, attributes, work) =>
    tracer.startActiveSpan(name, { attributes }, async (span) => {
      try {
        return await work()
      } catch (error) {
        const { code } = toNebulaError(error)
        span.setAttribute('error.type', code)
        span.setStatus({ code: SpanStatusCode.ERROR, message: code })
        throw error
      } finally {
        span.end()
      }
    })
}
