import { checks, runCheck, subjectOf } from '@nebula/testkit'
import type { Check, Group } from '@nebula/testkit'
import { describe, expect, test, vi } from 'vitest'
import type { BrokenByCheck } from './broken.ts'
import { brokenDeletes } from './broken-deletes.ts'
import { brokenCommits, brokenDeadLetters, brokenModes, brokenSchemaChange } from './broken-runs.ts'
import { brokenBatching, brokenPartitions, brokenValues } from './broken-values.ts'
import { referenceConnector, referenceOptions } from './reference-connector.ts'

// As long as a check may take: machines differ.
vi.setConfig({ testTimeout: 60_000 })

const BROKEN: readonly (readonly [Group, BrokenByCheck])[] = [
  ['values', brokenValues],
  ['batching', brokenBatching],
  ['partitions', brokenPartitions],
  ['commits', brokenCommits],
  ['modes', { ...brokenModes, ...brokenDeletes }],
  ['dead letters', brokenDeadLetters],
  ['schema change', brokenSchemaChange],
]

const { source, destination, ...rest } = referenceConnector()
const HALVES = [
  ['a source', { ...rest, ...(source ? { source } : {}) }],
  ['a destination', { ...rest, ...(destination ? { destination } : {}) }],
] as const

describe.for(BROKEN)('%s', ([group, broken]) => {
  const checksOfGroup = checks.filter((check) => check.group === group)

  test('has a broken connector for each check, and for no other', () => {
    expect(Object.keys(broken).toSorted()).toEqual(checksOfGroup.map(({ name }) => name).toSorted())
  })

  describe.for(checksOfGroup)('$name', (check: Check) => {
    test('passes the reference connector', async () => {
      const subject = subjectOf(referenceConnector(), referenceOptions)
      expect(check.exempt?.(subject)).toBeUndefined()
      await runCheck(check, subject, undefined)
    })

    test.for(HALVES)('passes, or says nothing of, what is only %s', async ([, connector]) => {
      const subject = subjectOf(connector, referenceOptions)
      if (check.exempt?.(subject) !== undefined) return
      await expect(runCheck(check, subject, undefined)).resolves.toBeUndefined()
    })

    test.for(broken[check.name] ?? [])('finds one that %s', async ([, defect, says]) => {
      const subject = subjectOf(referenceConnector(defect), referenceOptions)
      await expect(runCheck(check, subject, undefined)).rejects.toThrow(says)
    })
  })
})
