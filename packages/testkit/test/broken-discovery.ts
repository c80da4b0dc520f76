import type { Run, SourceDriver } from '@nebula/core'
import type { BrokenByCheck } from './broken.ts'
import { destination, source } from './broken.ts'
import type { Defect } from './reference-connector.ts'

function catalogs(change: (streams: Awaited<ReturnType<SourceDriver['discover']>>['streams']) => unknown): Defect {
  return source((good) => ({
    async discover(context, defined) {
      const catalog = await good.discover(context, defined)
      return { ...catalog, streams: change(catalog.streams) as typeof catalog.streams }
    },
  }))
}

function folded(run: Run): Run {
  return { ...run, streams: run.streams.map((stream) => ({ ...stream, target: stream.target.toLowerCase() })) }
}

export const brokenDiscovery: BrokenByCheck = {
  'tells of its streams in JSON, each once': [
    ['tells of each stream twice', catalogs((streams) => [...streams, ...streams]), /told of 2 times/],
    [
      'tells of what has no JSON',
      catalogs((streams) => streams.map((stream) => ({ ...stream, comment: undefined }))),
      /not JSON/,
    ],
  ],
  'keeps targets of any name apart, or refuses the name': [
    [
      'folds names',
      destination((good) => ({
        prepare: (run, context) => good.prepare(folded(run), context),
        writer: (task, context) =>
          good.writer(
            { ...task, run: folded(task.run), stream: { ...task.stream, target: task.stream.target.toLowerCase() } },
            context,
          ),
        finish: async (run, streams, context) => good.finish?.(folded(run), streams, context),
      })),
      /"Mixed Case"/,
    ],
    [
      'refuses names with an error of its own',
      destination(() => ({ check: () => Promise.reject(new Error('no')) })),
      /no/,
    ],
  ],
  'finds streams of any name, and reads them under it': [
    [
      'hides streams with a dot',
      catalogs((streams) => streams.filter(({ name }) => !name.includes('.'))),
      /Not discovered: "dotted.name"/,
    ],
  ],
  'keeps columns of any name, or refuses the name': [
    [
      'trims the names of columns',
      catalogs((streams) =>
        streams.map((stream) => ({
          ...stream,
          schema: { fields: stream.schema.fields.map((field) => ({ ...field, name: field.name.trim() })) },
        })),
      ),
      /" leading space"/,
    ],
  ],
  'tells of keys and comments': [
    ['does not tell of keys', catalogs((streams) => streams.map((stream) => ({ ...stream, key: [] }))), /The key is /],
    [
      'does not tell of comments',
      catalogs((streams) =>
        streams.map(({ schema, ...stream }) => ({
          ...stream,
          schema: { fields: schema.fields.map(({ name, type, nullable }) => ({ name, type, nullable })) },
        })),
      ),
      /The comment of a column/,
    ],
  ],
  'says which stream is the nearest to one that is not there': [
    ['tells of no stream', catalogs(() => []), /does not name customers/],
  ],
}
