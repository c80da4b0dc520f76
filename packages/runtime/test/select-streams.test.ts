import type { StreamInfo } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import type { Pipeline, StreamOptions } from '../src/index.ts'
import { definedStreams } from '../src/index.ts'
import { selectStreams } from '../src/select-streams.ts'

const info = (name: string): StreamInfo => ({ name, schema: { fields: [] }, key: [], wire: [] })
const catalog = { streams: ['public.orders', 'public.lines', 'audit.log', 'audit.secrets', 'a+b'].map(info) }

function select(streams: Pipeline['streams'], more: Partial<Pipeline> = {}): Record<string, StreamOptions> {
  const selected = selectStreams(catalog, { streams, ...more } as Pipeline)
  return Object.fromEntries(selected.map(({ info: { name }, options }) => [name, options]))
}

describe('selectStreams', () => {
  test('every stream when none is named, with the defaults', () => {
    const defaults = { mode: 'append' as const }
    const names = catalog.streams.map(({ name }) => name)
    expect(select(undefined, { defaults })).toEqual(Object.fromEntries(names.map((name) => [name, defaults])))
    expect(Object.keys(select({}))).toEqual(names)
  })

  test('only those that are named, in the order of the catalog', () => {
    expect(Object.keys(select({ 'audit.log': {}, 'public.orders': {} }))).toEqual(['public.orders', 'audit.log'])
  })

  test.each([
    ['audit.*', ['audit.log', 'audit.secrets']],
    ['*.l*', ['public.lines', 'audit.log']],
    ['audit.lo?', ['audit.log']],
    ['*', ['public.orders', 'public.lines', 'audit.log', 'audit.secrets', 'a+b']],
    ['a+?', ['a+b']],
  ])('%s matches %j', (pattern, names) => {
    expect(Object.keys(select({ [pattern]: {} }))).toEqual(names)
  })

  test('false leaves a stream out, of a glob or of all', () => {
    expect(Object.keys(select({ 'audit.*': {}, 'audit.secrets': false }))).toEqual(['audit.log'])
    expect(Object.keys(select({ 'audit.*': false }))).toEqual(['public.orders', 'public.lines', 'a+b'])
    expect(Object.keys(select({ '*': {}, 'a*': false, 'audit.log': {} }))).toEqual([
      'public.orders',
      'public.lines',
      'audit.log',
    ])
  })

  test('options are the defaults, then each entry that matches, a later one over an earlier', () => {
    const streams = {
      '*': { maxErrors: 1, mode: 'append' as const },
      'public.*': { maxErrors: 2 },
      'public.lines': { target: 'l' },
    }
    const selected = select(streams, { defaults: { limit: 9, maxErrors: 0 } })
    expect(selected['audit.log']).toEqual({ limit: 9, maxErrors: 1, mode: 'append' })
    expect(selected['public.orders']).toEqual({ limit: 9, maxErrors: 2, mode: 'append' })
    expect(selected['public.lines']).toEqual({ limit: 9, maxErrors: 2, mode: 'append', target: 'l' })
  })

  test('an entry after false begins again with the defaults', () => {
    const streams = { 'audit.*': { maxErrors: 1 }, 'audit.log': false as const, 'audit.lo*': { limit: 2 } }
    expect(select(streams, { defaults: { mode: 'append' } })['audit.log']).toEqual({ mode: 'append', limit: 2 })
  })

  test('only some of them, with their options', () => {
    const streams = { 'public.*': { mask: { email: 'sha256' as const } }, 'audit.log': {} }
    expect(select(streams, { only: ['public.o*', 'audit.log'] })).toEqual({
      'public.orders': { mask: { email: 'sha256' } },
      'audit.log': {},
    })
    expect(Object.keys(select({ 'audit.secrets': false }, { only: ['audit.*'] }))).toEqual(['audit.log'])
  })

  test('names that match nothing are told at once, with what was meant', () => {
    const streams = { 'public.order': {}, orders: {}, 'nothing.*': false as const, 'audit.log': {} }
    expect(() => select(streams, { only: ['lines'] })).toThrow(
      expect.objectContaining({
        code: 'stream_not_found',
        message: [
          'No stream "public.order" at the source; did you mean public.orders?',
          'No stream "orders" at the source; did you mean public.orders?',
          'No stream "nothing.*" at the source; it has public.orders, public.lines, audit.log, audit.secrets, a+b.',
          'No stream "lines" at the source; did you mean public.lines?',
        ].join('\n'),
      }),
    )
  })

  test('a long catalog is not told whole, an empty one is', () => {
    const many = { streams: Array.from({ length: 12 }, (_, i) => info(`table_number_${i}`)) }
    expect(() => selectStreams(many, { streams: { x: {} } } as unknown as Pipeline)).toThrow(
      /table_number_9 and 2 more\.$/,
    )
    expect(() => selectStreams({ streams: [] }, { streams: { x: {} } } as unknown as Pipeline)).toThrow(
      /it has none that this user can read/,
    )
  })

  test('a source without a stream, or all of them left out, is an error', () => {
    expect(() => selectStreams({ streams: [] }, {} as Pipeline)).toThrow(
      expect.objectContaining({ code: 'stream_not_found' }),
    )
    expect(() => select({ '*': false })).toThrow(expect.objectContaining({ code: 'stream_not_found' }))
  })
})

test('definedStreams are those with a pattern of their own', () => {
  const streams = { prices: { path: './prices-*.csv' }, orders: {}, secrets: false as const }
  expect(definedStreams({ streams } as unknown as Pipeline)).toEqual([{ stream: 'prices', path: './prices-*.csv' }])
  expect(definedStreams({} as Pipeline)).toEqual([])
})
