import { checks, runCheck, subjectOf } from '@nebula/testkit'
import type { Check, Group } from '@nebula/testkit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { BrokenByCheck } from './broken.ts'
import { brokenConfig, brokenContract } from './broken-contract.ts'
import { brokenDiscovery } from './broken-discovery.ts'
import { brokenBackpressure, brokenBuffers, brokenFaults, brokenHealth } from './broken-flow.ts'
import { referenceConnector, referenceOptions, referenceServerOptions } from './reference-connector.ts'
import { ReferenceServer } from './reference-store.ts'

const BROKEN: readonly (readonly [Group, BrokenByCheck])[] = [
  ['contract', brokenContract],
  ['config', brokenConfig],
  ['discovery', brokenDiscovery],
  ['buffers', brokenBuffers],
  ['backpressure', brokenBackpressure],
  ['health and metrics', brokenHealth],
  ['faults', brokenFaults],
]

let server: ReferenceServer

beforeAll(async () => {
  server = await ReferenceServer.start()
})

afterAll(() => server.stop())

describe.for(BROKEN)('%s', ([group, broken]) => {
  const checksOfGroup = checks.filter((check) => check.group === group)

  test('has a broken connector for each check, and for no other', () => {
    expect(Object.keys(broken).toSorted()).toEqual(checksOfGroup.map(({ name }) => name).toSorted())
  })

  describe.for(checksOfGroup)('$name', (check: Check) => {
    test('passes the reference connector, before a server and without one', { timeout: 60_000 }, async () => {
      const subject = subjectOf(referenceConnector(), referenceServerOptions)
      expect(check.exempt?.(subject)).toBeUndefined()
      await runCheck(check, subject, server)
      const alone = subjectOf(referenceConnector(), referenceOptions)
      if (check.exempt?.(alone) === undefined) await runCheck(check, alone, undefined)
    })

    test.for(broken[check.name] ?? [])('finds one that %s', { timeout: 60_000 }, async ([, defect, says]) => {
      const subject = subjectOf(referenceConnector(defect), referenceServerOptions)
      await expect(runCheck(check, subject, server)).rejects.toThrow(says)
    })
  })
})
