import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LogicalType } from '../src/index.ts'
import { parseType, utf8 } from '../src/index.ts'
import { parse, parseOne } from './columns.ts'

const typeOf = (name: string): LogicalType => parseType(name) as LogicalType
const decimal = (precision: number, scale: number): LogicalType => ({ kind: 'decimal', precision, scale })

describe('parseColumn agrees with a naive twin on', () => {
  const digits = fc.stringMatching(/^[-+]?[0-9]{0,22}$/)
  const almost = fc.stringMatching(/^[-+]?[0-9]{0,9}[0-9.ex :/-]?[0-9]{0,9}$/)

  test.for([
    ['int8', -128n, 127n],
    ['int16', -32768n, 32767n],
    ['int32', -(2n ** 31n), 2n ** 31n - 1n],
    ['int64', -(2n ** 63n), 2n ** 63n - 1n],
    ['uint8', 0n, 255n],
    ['uint16', 0n, 65535n],
    ['uint32', 0n, 2n ** 32n - 1n],
    ['uint64', 0n, 2n ** 64n - 1n],
  ] as const)('%s', ([name, min, max]) => {
    const naive = (text: string): bigint | 'fault' => {
      if (!/^[-+]?\d+$/.test(text)) return 'fault'
      const value = BigInt(text.replace(/^[-+]/, '')) * (text.startsWith('-') ? -1n : 1n)
      return value < min || value > max ? 'fault' : value
    }
    fc.assert(
      fc.property(fc.array(fc.oneof(digits, almost)), (texts) => {
        const { values } = parse(typeOf(name), texts)
        expect(values.map((value) => (typeof value === 'number' ? BigInt(value) : value))).toEqual(texts.map(naive))
      }),
      { numRuns: 200 },
    )
  })

  test.for([
    [9, 2],
    [18, 4],
    [18, 8],
    [20, 10],
    [38, 10],
    [38, 30],
  ] as const)('decimal(%i,%i)', ([precision, scale]) => {
    const naive = (text: string): bigint | 'fault' => {
      const match = /^([-+]?)(\d*)(?:\.(\d*))?$/.exec(text)
      const [, sign = '', whole = '', fraction = ''] = match ?? []
      if (!match || whole + fraction === '' || /[1-9]/.test(fraction.slice(scale))) return 'fault'
      const value = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'))
      if (value >= 10n ** BigInt(precision)) return 'fault'
      return sign === '-' ? -value : value
    }
    const plain = fc.stringMatching(/^[-+]?[0-9]{0,30}[.]?[0-9]{0,12}$/)
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            plain,
            almost.filter((text) => !text.includes('e')),
          ),
        ),
        (texts) => {
          expect(parse(decimal(precision, scale), texts).values).toEqual(texts.map(naive))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('float64 and float32', () => {
    const plain = fc.stringMatching(/^[-+]?[0-9]{0,17}[.]?[0-9]{0,20}$/)
    const scientific = fc.stringMatching(/^[-+]?[0-9]{1,3}[.]?[0-9]{0,16}e[-+]?[0-9]{1,2}$/)
    const naive = (text: string): number | 'fault' => {
      const value = /\d/.test(text) && !/[ x:/]/.test(text) ? Number(text) : NaN
      return Number.isFinite(value) ? value : 'fault'
    }
    fc.assert(
      fc.property(fc.array(fc.oneof(plain, plain, scientific, almost, fc.double().map(String))), (rows) => {
        const texts = rows.filter((text) => !/NaN|Infinity/.test(text))
        expect(parse({ kind: 'float64' }, texts).values).toEqual(texts.map(naive))
        const rounded = texts.map(naive).map((value) => (value === 'fault' ? value : Math.fround(value)))
        expect(parse({ kind: 'float32' }, texts).values).toEqual(
          rounded.map((value) => (typeof value === 'number' && !Number.isFinite(value) ? 'fault' : value)),
        )
      }),
      { numRuns: 1000 },
    )
  })

  test('date and timestamp of the years 1 to 9999', () => {
    const part = (most: number, width: number) =>
      fc.integer({ min: 0, max: most }).map((n) => String(n).padStart(width, '0'))
    const date = fc.tuple(part(9999, 4), part(13, 2), part(32, 2)).map((parts) => parts.join('-'))
    const time = fc.tuple(part(24, 2), part(60, 2), part(60, 2)).map((parts) => parts.join(':'))
    const fraction = fc.stringMatching(/^([.][0-9]{0,6})?$/)
    const naiveDate = (text: string): number | 'fault' => {
      const value = Date.parse(`${text}T00:00:00Z`)
      const exists = !Number.isNaN(value) && new Date(value).toISOString().startsWith(text) && !text.startsWith('0000')
      return exists ? value / 86_400_000 : 'fault'
    }
    const naive = (day: string, clock: string, rest: string): bigint | 'fault' => {
      const days = naiveDate(day)
      const match = /^(\d\d):(\d\d):(\d\d)$/.exec(clock)
      const [hour, minute, second] = (match ?? []).slice(1).map(Number) as [number, number, number]
      const late = hour === 24 && (minute > 0 || second > 0 || /[1-9]/.test(rest))
      if (days === 'fault' || minute > 59 || second > 59 || late || rest === '.') return 'fault'
      const seconds = days * 86_400 + hour * 3600 + minute * 60 + second
      return BigInt(seconds) * 1_000_000n + BigInt(rest.slice(1).padEnd(6, '0'))
    }
    fc.assert(
      fc.property(date, time, fraction, (day, clock, rest) => {
        expect(parseOne({ kind: 'date' }, day)).toBe(naiveDate(day))
        for (const zone of [false, true])
          expect(parseOne({ kind: 'timestamp', zone }, `${day} ${clock}${rest}`)).toBe(naive(day, clock, rest))
      }),
      { numRuns: 3000 },
    )
  })

  test('json', () => {
    const accepts = (text: string): boolean => {
      try {
        JSON.parse(text)
        return true
      } catch {
        return false
      }
    }
    const characters = fc.string({
      unit: fc.constantFrom(...Array.from('{}[]",:\\utrefalsn01-.eE+ \n')),
      maxLength: 12,
    })
    const broken = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom(...Array.from('{}[]",:\\0 ')))
      .map(([text, at, character]) => {
        const cut = at % (text.length + 1)
        return text.slice(0, cut) + character + text.slice(cut + 1)
      })
    fc.assert(
      fc.property(fc.oneof(characters, fc.json(), broken), (text) => {
        expect([text, parseOne({ kind: 'json' }, text) !== 'fault']).toEqual([text, accepts(text)])
      }),
      { numRuns: 3000 },
    )
  })

  test('utf8', () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const naive = (bytes: Uint8Array): string => {
      try {
        return strict.decode(bytes)
      } catch {
        return 'fault'
      }
    }
    const lead = fc.constantFrom(
      0x41,
      0x7f,
      0x80,
      0xbf,
      0xc1,
      0xc2,
      0xdf,
      0xe0,
      0xed,
      0xef,
      0xf0,
      0xf4,
      0xf5,
      0x9f,
      0xa0,
      0x90,
      0x8f,
    )
    const bytes = fc
      .oneof(fc.array(lead, { maxLength: 8 }), fc.array(fc.nat(255), { maxLength: 100 }))
      .map((all) => Uint8Array.from(all))
    const text = fc.string({ unit: 'binary', maxLength: 80 }).map((whole) => new TextEncoder().encode(whole))
    fc.assert(
      fc.property(fc.array(fc.oneof(bytes, text), { maxLength: 12 }), (rows) => {
        expect(parse(utf8, rows).values).toEqual(rows.map(naive))
      }),
      { numRuns: 400 },
    )
  })
})
