import { expect, test } from 'vitest'
import { MongoConfig } from '../src/config.ts'

test('whole documents are not read by objects and arrays', () => {
  for (const more of [{ objects: 'flatten' }, { objects: 'struct' }, { arrays: 'list' }])
    expect(MongoConfig.safeParse({ documents: true, ...more }).error?.issues[0]?.message).toContain(
      'leave out documents',
    )
  expect(MongoConfig.safeParse({ documents: true }).success).toBe(true)
})
