import { BufferPool, columnBuilder, typeName } from '@nebula/core'
import { columnTexts, textColumn, tortureTypes } from '@nebula/testkit'
import { expect, test } from 'vitest'

test.for(tortureTypes.map(({ type, values }) => [typeName(type), type, values] as const))(
  '%s: every text is the canonical one, is in once, and has a reason',
  ([, type, values]) => {
    const texts = values.map(({ text }) => text)
    const builder = columnBuilder(type, new BufferPool(2 ** 30))
    expect(columnTexts(textColumn(texts, builder))).toEqual(texts)
    expect(new Set(texts).size).toBe(texts.length)
    for (const { why } of values) expect(why).not.toBe('')
  },
)
