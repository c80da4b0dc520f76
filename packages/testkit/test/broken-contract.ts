import { openSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context, RecordBatch, SourceDriver } from '@nebula/core'
import { BaseConfig, NebulaError } from '@nebula/core'
import type { BrokenByCheck } from './broken.ts'
import { destination, source } from './broken.ts'
import type { Defect, Link } from './reference-connector.ts'
import { ReferenceConfig } from './reference-connector.ts'

/** Longer than a driver may take to stop. */
const TOO_LONG_MS = 2_500

function link(change: (good: Link) => Partial<Link>): Defect {
  return {
    link: (good) => ({
      ask: (question, signal) => good.ask(question, signal),
      close: () => good.close(),
      ...change(good),
    }),
  }
}

/** Finds out a little late that it was stopped, and then takes its time. */
async function slowly<T>({ signal }: Context, work: Promise<T>): Promise<T> {
  work.catch(() => {})
  await sleep(10)
  if (signal.aborted) await sleep(TOO_LONG_MS)
  return work
}

/** One driver for all. */
function sharing(): Defect {
  let shared: SourceDriver | undefined
  let closed = false
  return {
    source: (good) => {
      shared ??= {
        ...good,
        async ping() {
          if (closed) throw new NebulaError('connection_lost', { message: 'It was closed.' })
        },
        async close() {
          closed = true
        },
      }
      return shared
    },
  }
}

const errorLike = Object.assign(new Error('broken'), { name: 'NebulaError', code: 'no_such_code' })

export const brokenContract: BrokenByCheck = {
  'constructs drivers without connecting': [
    [
      'connects when it is constructed',
      { link: (good) => (void good.ask(['ping'], new AbortController().signal).catch(() => {}), good) },
      /Constructing opened/,
    ],
  ],
  'gives every driver a life of its own, which begins once': [
    ['has one driver for all', sharing(), /left another one unhealthy/],
  ],
  'closes twice without harm, opened or not': [
    ['blocks on close', source(() => ({ close: () => new Promise(() => {}) })), /Closing the source .* did not end/],
    [
      'fails when it is closed again',
      {
        destination: (good) => {
          let closed = false
          return {
            ...good,
            async close() {
              if (closed) throw new NebulaError('lifecycle', { message: 'It was closed before.' })
              closed = true
            },
          }
        },
      },
      /It was closed before/,
    ],
  ],
  'leaves no socket, file, timer or child behind': [
    ['leaks a socket', link(() => ({ close: () => {} })), /left behind: .*socket/],
    [
      'leaks a file',
      source((good) => ({
        async open(context) {
          openSync(tmpdir(), 'r')
          await good.open?.(context)
        },
      })),
      /left behind: .*\(file \d+\)/,
    ],
    [
      'leaks a timer',
      destination((good) => ({
        async open(context) {
          setInterval(() => {}, 100_000)
          await good.open?.(context)
        },
      })),
      /left behind: .*Timeout/,
    ],
  ],
  'fails with errors of the catalogue, whatever its configuration says': [
    [
      'throws what its client throws',
      {
        source: (good, { place }) => ({
          ...good,
          async open(context) {
            if (place === '://') throw new TypeError('Invalid URL')
            await good.open?.(context)
          },
        }),
      },
      /no NebulaError: TypeError: Invalid URL/,
    ],
  ],
  'fails with an error of the catalogue for a stream that is gone': [
    [
      'swallows an error',
      source(() => ({ plan: async () => ({ partitions: [], restart: [] }), read: nothing })),
      /did not fail/,
    ],
    [
      'has a code of its own',
      source(() => ({
        plan: () => Promise.reject(errorLike),
      })),
      /no_such_code, which is not in the catalogue/,
    ],
  ],
  'ends reading within a second of being stopped, wherever it is': [
    [
      'ignores that it is stopped while it looks for streams',
      source((good) => ({ discover: (context, defined) => slowly(context, good.discover(context, defined)) })),
      /Stopped during discover, discover went on/,
    ],
  ],
  'ends writing within a second of being stopped, wherever it is': [
    [
      'ignores that it is stopped while it commits',
      destination((good) => ({
        async writer(task, context) {
          const writer = await good.writer(task, context)
          return { ...writer, commit: (checkpoint) => slowly(context, writer.commit(checkpoint)) }
        },
      })),
      /commit went on for more than a second/,
    ],
  ],
  'lets go of a connection that is being made when it is stopped': [
    [
      'goes on connecting',
      link((good) => ({ ask: (question) => good.ask(question, new AbortController().signal), close: () => {} })),
      /A connection that was being made did not end/,
    ],
  ],
  'shows no secret, whatever prints it': [
    [
      'prints a password',
      {
        source: (good, { password }) => ({
          ...good,
          async open(context) {
            context.logger.debug('login', { password: password?.reveal() })
            await good.open?.(context)
          },
        }),
      },
      /stands in the log/,
    ],
    [
      'says which password is wrong',
      {
        destination: (good, { password }) => ({
          ...good,
          async open(context) {
            await good.open?.(context).catch((cause: unknown) => {
              throw new NebulaError('authentication_failed', { message: `Not ${password?.reveal()}.`, cause })
            })
          },
        }),
      },
      /stands in an error/,
    ],
    [
      'keeps a password where it is seen',
      { source: (good, { password }) => Object.assign(good, { password: password?.reveal() }) },
      /stands in a driver of the source/,
    ],
    [
      'stores a password beside the rows',
      {
        destination: (good, { password }) => ({
          ...good,
          prepare: (run, context) => good.prepare({ ...run, fingerprint: password?.reveal() ?? '' }, context),
          finish: async (run, ...rest) => good.finish?.({ ...run, fingerprint: password?.reveal() ?? '' }, ...rest),
        }),
      },
      /stands in what the destination keeps of a run/,
    ],
  ],
}

async function* nothing(): AsyncGenerator<RecordBatch> {}

const text = BaseConfig.shape.name.unwrap()

export const brokenConfig: BrokenByCheck = {
  'describes every key, and the values that it takes': [
    [
      'does not describe a key',
      { config: ReferenceConfig.extend({ extra: text.optional() }) },
      /no description: extra/,
    ],
  ],
  'refuses a key that it does not know, and names the nearest': [
    ['takes keys that it does not know', { config: ReferenceConfig.loose() }, /is taken, though nothing reads it/],
  ],
  'refuses a value of another kind at every key, and names the key': [
    [
      'takes anything for a key',
      { config: ReferenceConfig.extend({ extra: text.catch('').optional().describe('anything') }) },
      /extra takes a value of any kind/,
    ],
  ],
  'does with every default what it does without the key': [
    [
      'has another default than it says',
      { config: ReferenceConfig.extend({ extra: text.default('a').meta({ default: 'b', description: 'something' }) }) },
      /extra with its default/,
    ],
  ],
  'takes every other name of a key for the key': [
    ['does not know a name that it tells of', { config: ReferenceConfig.meta({ aliases: { shop: 'place' } }) }, /shop/],
  ],
  'keeps passwords, tokens and private keys as secrets': [
    [
      'has a token that is no secret',
      { config: ReferenceConfig.extend({ apiToken: text.optional().describe('what lets it in') }) },
      /api_token is no secret/,
    ],
  ],
}
