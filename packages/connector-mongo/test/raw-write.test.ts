import { createRequire } from 'node:module'
import { expect, test } from 'vitest'
import { joinDocuments } from '@nebula/formats'
import { checkInternals, rawSection } from '../src/raw-write.ts'

const commands = createRequire(import.meta.url)('mongodb/lib/cmap/commands.js') as {
  DocumentSequence: new (field: string) => { toBin(): Uint8Array }
  OpMsgRequest: new (database: string, command: object, options: object) => { toBin(): Uint8Array[] }
}

test.each(['documents', 'updates'])('the driver that is installed sends a section of %s as it is', (field) => {
  const section = joinDocuments([new Uint8Array(7).fill(0xee)]).bytes
  const command = { write: 'c', [field]: rawSection(checkInternals(commands), field, section) }
  const message = Buffer.concat(new commands.OpMsgRequest('d', command, {}).toBin())
  expect(message.subarray(-section.length).toString('latin1')).toBe(`\x01\x15\0\0\0documents\0${'\xee'.repeat(7)}`)
})

test.each<[string, Partial<typeof commands>]>([
  ['has no sections', { OpMsgRequest: commands.OpMsgRequest }],
  ['has no messages', { DocumentSequence: commands.DocumentSequence }],
  [
    'does not look for sections of this class',
    {
      DocumentSequence: class {
        toBin = (): Uint8Array => new Uint8Array()
      },
      OpMsgRequest: commands.OpMsgRequest,
    },
  ],
  [
    'writes sections into the command',
    {
      DocumentSequence: commands.DocumentSequence,
      OpMsgRequest: class {
        toBin = (): Uint8Array[] => [new Uint8Array(50)]
      },
    },
  ],
])('a driver that %s is refused', (_, internals) => {
  expect(() => checkInternals(internals)).toThrow(/version of the driver of MongoDB/)
})
