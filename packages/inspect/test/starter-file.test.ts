import { BaseConfig, secret } from '@nebula/core'
import type { Connector } from '@nebula/core'
import { describe, expect, test } from 'vitest'
import { starterFile } from '../src/index.ts'

const { name } = BaseConfig.shape
const connector = {
  contract: 1,
  name: 'db',
  version: '1.0.0',
  config: BaseConfig.extend({ url: secret().optional().describe('where it is'), path: name }),
} as unknown as Connector

function text(keys?: { readonly [key: string]: unknown }): { text: string; variables: readonly string[] } {
  return starterFile({ source: { connector, ...(keys ? { keys } : {}) }, destination: { connector, keys: {} } })
}

describe('starterFile', () => {
  test('shows what is needed, and the other keys as comments', () => {
    const { text: written, variables } = text()
    expect(written).toContain(
      'source:\n  connector: db\n  # where it is\n  url: ${SOURCE_URL}\n  # path:   # a name for people\n',
    )
    expect(variables).toEqual(['SOURCE_URL'])
  })

  test.each([
    ['postgres://me:hunter2@host/db'],
    ['postgres://me:p@ss:w/rd@host/db'],
    ['postgres://me:${A}hunter2@host/db'],
    ['postgres://host/db?user=me&password=hunter2'],
    ['hunter2'],
  ])('writes a variable in place of %s', (url) => {
    const { text: written, variables } = text({ url })
    expect(written).toContain('  url: ${SOURCE_URL}\n')
    expect(written).not.toMatch(/hunter2|rd@/)
    expect(variables).toEqual(['SOURCE_URL'])
  })

  test.each([['postgres://host/db'], ['postgres://me@host:1/db'], ['postgres://me:${A}@host/db']])(
    'keeps %s, which holds no secret',
    (url) => {
      expect(text({ url })).toMatchObject({ text: expect.stringContaining(`  url: ${url}\n`), variables: [] })
    },
  )

  test('keeps a variable that the user gave, and says that it must be set', () => {
    const { text: written, variables } = text({ url: '${MINE}' })
    expect(written).toContain('  url: ${MINE}\n')
    expect(variables).toEqual(['MINE'])
  })

  test('lists streams as comments that can be uncommented', () => {
    const catalog = {
      streams: [
        { name: 'public.orders', schema: { fields: [] }, key: ['id'], rows: 1234, wire: [] },
        { name: 'odd: name', schema: { fields: [] }, key: [], wire: [] },
      ],
    }
    const { text: written } = starterFile({ source: { connector }, destination: { connector }, catalog })
    expect(written).toContain('# streams:\n#   public.orders: {}   # 0 columns, about 1,234 rows, key id\n')
    expect(written).toContain('#   "odd: name": {}')
  })
})
