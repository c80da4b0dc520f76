import { EJSON, serialize } from 'bson'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BsonOutput, parseExtendedJson } from '../src/index.ts'
import { pool } from './bson-columns.ts'

const out = new BsonOutput(pool)

/** The type and the bytes of a text, in hexadecimal digits. */
function parsed(text: string | Buffer): string {
  const bytes = Buffer.concat([Buffer.from('[1,'), Buffer.from(text), Buffer.from(',2]')])
  out.size = 3
  const type = parseExtendedJson(bytes, 3, bytes.length - 3, out)
  return `${type.toString(16).padStart(2, '0')} ${Buffer.from(out.bytes.subarray(3, out.size)).toString('hex')}`.trim()
}

const ID = '57e193d7a9cc81b4027498b5'
const UUID = 'c8edabc3-f738-4ca3-b68d-ab92a91478a3'
const UUID_BYTES = `1000000004${UUID.replaceAll('-', '')}`

test.each([
  ['true', '08 01'],
  ['false', '08 00'],
  ['null', '0a'],
  [' \t\r\n5 ', '10 05000000'],
  ['-2147483648', '10 00000080'],
  ['2147483648', '12 0000008000000000'],
  ['-2147483649', '12 ffffff7fffffffff'],
  ['999999999999999', '12 ff7fc6a47e8d0300'],
  ['9007199254740993', '12 0100000000002000'],
  ['9223372036854775807', '12 ffffffffffffff7f'],
  ['-9223372036854775808', '12 0000000000000080'],
  ['9223372036854775808', '01 000000000000e043'],
  ['-9223372036854777856', '01 010000000000e0c3'],
  [`1${'0'.repeat(30)}`, '01 ea8ca039593e2946'],
  ['-0', '01 0000000000000080'],
  ['0', '10 00000000'],
  ['5.0', '01 0000000000001440'],
  ['-0.0', '01 0000000000000080'],
  ['0.1', '01 9a9999999999b93f'],
  ['0.30000000000000004', '01 343333333333d33f'],
  ['1e5', '01 00000000006af840'],
  ['1.5E+300', '01 355800662deb417e'],
  ['5e-324', '01 0100000000000000'],
  ['"a"', '02 020000006100'],
  ['""', '02 0100000000'],
  ['"\\"\\\\\\/\\b\\f\\n\\r\\t"', '02 09000000225c2f080c0a0d0900'],
  ['"\\u0000\\u00e9\\u20AC\\ud83D\\ude00"', '02 0b00000000c3a9e282acf09f988000'],
  ['"é€😀"', '02 0a000000c3a9e282acf09f988000'],
  ['{}', '03 0500000000'],
  ['[ ]', '04 0500000000'],
  ['{"a":1,"a":2}', '03 13000000106100010000001061000200000000'],
  ['[null,[true]]', '04 140000000a300004310009000000083000010000'],
] as const)('%s', (text, bytes) => {
  expect(parsed(text)).toBe(bytes)
})

/** Every wrapper of the specification's table, and ours. */
test.each([
  [`{"$oid": "${ID}"}`, `07 ${ID}`],
  [`{"$oid": "${ID.toUpperCase()}"}`, `07 ${ID}`],
  ['{"$symbol": "s"}', '0e 020000007300'],
  ['{"$numberInt": "42"}', '10 2a000000'],
  ['{"$numberLong": "-42"}', '12 d6ffffffffffffff'],
  ['{"$numberDouble": "42.42"}', '01 f6285c8fc2354540'],
  ['{"$numberDouble": "-Infinity"}', '01 000000000000f0ff'],
  ['{"$numberDouble": "NaN"}', '01 000000000000f87f'],
  ['{"$numberDouble": "-0.0"}', '01 0000000000000080'],
  ['{"$numberDecimal": "1.50"}', '13 96000000000000000000000000003c30'],
  ['{"$numberDecimal": "-Infinity"}', '13 000000000000000000000000000000f8'],
  ['{"$binary": {"base64": "MTIz", "subType": "80"}}', '05 0300000080313233'],
  ['{"$binary": {"subType": "0", "base64": ""}}', '05 0000000000'],
  ['{"$binary": {"base64": "//8=", "subType": "02"}}', '05 060000000202000000ffff'],
  [`{"$uuid": "${UUID}"}`, `05 ${UUID_BYTES}`],
  [`{"$uuid": "${UUID.replaceAll('-', '').toUpperCase()}"}`, `05 ${UUID_BYTES}`],
  ['{"$code": "f"}', '0d 020000006600'],
  ['{"$code": "f", "$scope": {}}', '0f 0f0000000200000066000500000000'],
  ['{"$scope": {}, "$code": "f"}', '0f 0f0000000200000066000500000000'],
  ['{"$timestamp": {"t": 42, "i": 4294967295}}', '11 ffffffff2a000000'],
  ['{"$timestamp": {"i": 1, "t": 42}}', '11 010000002a000000'],
  ['{"$regularExpression": {"pattern": "foo*", "options": "ix"}}', '0b 666f6f2a00697800'],
  ['{"$regularExpression": {"options": "xi", "pattern": ""}}', '0b 00786900'],
  [`{"$dbPointer": {"$ref": "db.c", "$id": {"$oid": "${ID}"}}}`, `0c 0500000064622e6300${ID}`],
  [`{"$dbPointer": {"$id": {"$oid": "${ID}"}, "$ref": ""}}`, `0c 0100000000${ID}`],
  ['{"$date": {"$numberLong": "-1"}}', '09 ffffffffffffffff'],
  ['{"$date": "1970-01-01T00:00:00Z"}', '09 0000000000000000'],
  ['{"$date": "2012-12-24T12:15:30.501Z"}', '09 c5d8d6cc3b010000'],
  ['{"$date": "9999-12-31T23:59:59.999Z"}', '09 ffdb1fd277e60000'],
  ['{"$date": "1970-01-01T01:30:00.100+01:30"}', '09 6400000000000000'],
  ['{"$date": "1969-12-31T23:00:00-0100"}', '09 0000000000000000'],
  ['{"$minKey": 1}', 'ff'],
  ['{"$maxKey": {"$numberInt": "1"}}', '7f'],
  ['{"$undefined": true}', '06'],
  ['{"$bson": {"base64": "EAcAAAA="}}', '10 07000000'],
  ['{"\\u0024oid": "57e193d7a9cc81b4027498b5"}', `07 ${ID}`],
] as const)('%s', (text, bytes) => {
  expect(parsed(text)).toBe(bytes)
  expect(parsed(`[${text}]`)).toContain(bytes.slice(3))
})

/** What only looks like a wrapper. */
test.each([
  '{"$regex": "a", "$options": "i"}',
  '{"$regex": {"$regularExpression": {"pattern": "a", "options": ""}}, "$options": "x"}',
  '{"$type": "string"}',
  '{"$scope": {}}',
  '{"$ref": "c", "$id": {"$oid": "57e193d7a9cc81b4027498b5"}, "$db": "d", "more": 1}',
  '{"$set": {"a": 1}, "": 2, "a.b": 3}',
  '{"$oidx": 1, "oid": 2, "$": 3, "$a key of more than eighteen bytes": 4}',
])('%s is a document', (text) => {
  expect(parsed(text).slice(0, 2)).toBe('03')
})

function refusal(text: string | Buffer): string {
  try {
    return parsed(text)
  } catch (error) {
    return (error as Error).message
  }
}

const WRAPPER = 'an object that ends here has the key of a type, and is none of it'

test.each([
  `{"$oid": "${ID}0"}`,
  `{"$oid": "${ID.slice(1)}g"}`,
  '{"$oid": 5}',
  `{"$oid": "${ID}", "a": 1}`,
  `{"a": 1, "$oid": "${ID}"}`,
  '{"$numberInt": "2147483648"}',
  '{"$numberInt": "1.0"}',
  '{"$numberInt": ""}',
  '{"$numberInt": 1}',
  '{"$numberLong": "9223372036854775808"}',
  '{"$numberLong": "0x1"}',
  '{"$numberDouble": "1e400"}',
  '{"$numberDouble": ""}',
  '{"$numberDouble": " 1"}',
  '{"$numberDouble": "0x1"}',
  '{"$numberDecimal": "1e"}',
  `{"$numberDecimal": "1.${'0'.repeat(33)}1"}`,
  '{"$binary": "MTIz"}',
  '{"$binary": {"base64": "MTI", "subType": "00"}}',
  '{"$binary": {"base64": "MT=z", "subType": "00"}}',
  '{"$binary": {"base64": "M===", "subType": "00"}}',
  '{"$binary": {"base64": "MTIz", "subType": "100"}}',
  '{"$binary": {"base64": "MTIz", "subType": 0}}',
  '{"$binary": {"base64": "MTIz"}}',
  '{"$binary": {"base64": "MTIz", "subType": "00", "a": 1}}',
  `{"$uuid": "${UUID.slice(1)}"}`,
  '{"$code": 1}',
  '{"$code": "f", "$scope": 1}',
  '{"$code": "f", "a": {}}',
  '{"$timestamp": {"t": -1, "i": 1}}',
  '{"$timestamp": {"t": 4294967296, "i": 1}}',
  '{"$timestamp": {"t": 1.0, "i": 1}}',
  '{"$timestamp": {"t": 1, "t": 1}}',
  '{"$timestamp": {"t": 1, "i": 1, "x": 1}}',
  '{"$regularExpression": {"pattern": "a"}}',
  '{"$regularExpression": {"pattern": "a\\u0000b", "options": ""}}',
  '{"$dbPointer": {"$ref": "a", "$id": "b"}}',
  '{"$date": 42}',
  '{"$date": "2024-02-30T00:00:00Z"}',
  '{"$date": "2024-01-01T00:00:00"}',
  '{"$date": "2024-01-01T00:00:00.0001Z"}',
  '{"$date": "2024-01-01"}',
  '{"$minKey": 2}',
  '{"$maxKey": true}',
  '{"$undefined": false}',
  '{"$bson": {"base64": ""}}',
  '{"$bson": {"base64": "EAcAAA=="}}',
  '{"$bson": {"base64": "FAcAAAA="}}',
  '{"$bson": {"base64": "AwYAAAAA"}}',
])('%s is no value', (text) => {
  expect(refusal(text)).toBe(`This is no Extended JSON; byte ${text.length} of the text: ${WRAPPER}.`)
})

test.each([
  ['', 0, 'a value is missing'],
  ['  ', 2, 'a value is missing'],
  ['tru', 0, 'a value is missing'],
  ['nul', 0, 'a value is missing'],
  ['1 2', 2, 'nothing may follow the value'],
  ['{}}', 2, 'nothing may follow the value'],
  ['{', 1, 'a key is missing'],
  ['{"a"', 4, 'a colon is missing'],
  ['{"a":', 5, 'a value is missing'],
  ['{"a":1', 6, 'a comma or } is missing'],
  ['{"a":1,}', 7, 'a key is missing'],
  ['{"a":1]', 6, 'a comma or } is missing'],
  ['{a:1}', 1, 'a key is missing'],
  ['[1,]', 3, 'a value is missing'],
  ['[1', 2, 'a comma or ] is missing'],
  ['[1}', 2, 'a comma or ] is missing'],
  ["'a'", 0, 'a value is missing'],
  ['01', 0, 'a number that begins with zeros'],
  ['-', 1, 'a number without a digit'],
  ['1.', 2, 'a number without a digit'],
  ['.5', 0, 'a value is missing'],
  ['1e', 2, 'a number without a digit'],
  ['1e+', 3, 'a number without a digit'],
  ['+1', 0, 'a value is missing'],
  ['NaN', 0, 'a value is missing'],
  ['12345678901234567890.1234567890', 0, 'a number with more digits than a double keeps'],
  ['9223372036854775809', 0, 'a number with more digits than a double keeps'],
  ['0.10000000000000001', 0, 'a number with more digits than a double keeps'],
  ['1.2345e-320', 0, 'a number with more digits than a double keeps'],
  ['1e-400', 0, 'a number with more digits than a double keeps'],
  ['1e400', 0, 'a number past the largest double'],
  [`1${'0'.repeat(400)}`, 0, 'a number past the largest double'],
  ['"a', 2, 'the string does not end'],
  ['"a\\', 3, 'the string does not end'],
  ['"a\\"', 4, 'the string does not end'],
  ['"a\nb"', 2, 'a control character'],
  ['"\\x"', 2, 'an escape that JSON does not have'],
  ['"\\u12"', 3, 'an escape without four hexadecimal digits'],
  ['"\\u12g4"', 3, 'an escape without four hexadecimal digits'],
  ['"\\ud800"', 3, 'half of a surrogate pair'],
  ['"\\udc00\\ud800"', 3, 'half of a surrogate pair'],
  ['"\\ud800\\ud800"', 3, 'half of a surrogate pair'],
  ['"\\ud800x"', 3, 'half of a surrogate pair'],
  [Buffer.from('2261ff22', 'hex'), 1, 'a string that is no UTF-8'],
  [Buffer.from('22eda08022', 'hex'), 1, 'a string that is no UTF-8'],
  ['{"a\\u0000":1}', 1, 'a key with a NUL'],
] as const)('%s is refused at byte %i: %s', (text, at, reason) => {
  expect(refusal(Buffer.from(text as string))).toBe(`This is no Extended JSON; byte ${at} of the text: ${reason}.`)
})

/** Only what is between the bounds is the text; what follows would complete it. */
test('a text ends where it is said to', () => {
  const bytes = Buffer.from('"a\\ud83d\\ude00" 12345 true')
  for (const end of [8, 9, 13]) expect(() => parseExtendedJson(bytes, 0, end, out)).toThrow('no Extended JSON')
  out.size = 0
  expect(parseExtendedJson(bytes, 16, 18, out)).toBe(0x10)
  expect(out.view.getInt32(0, true)).toBe(12)
  expect(() => parseExtendedJson(bytes, 22, 25, out)).toThrow('byte 0 of the text')
})

describe('against bson', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 10 })
  const key = text.filter(
    (name) => !name.includes('\0') && !name.startsWith('$') && !/^\d+$/.test(name) && name !== '__proto__',
  )
  /** bson reads integers as doubles first, and so loses digits of those past 2^53. */
  const doubles = fc
    .double({ noNaN: true, noDefaultInfinity: true })
    .filter((number) => !Number.isInteger(number) || Number.isSafeInteger(number) || Math.abs(number) > 2 ** 63)
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      {
        weight: 2,
        arbitrary: fc.oneof(fc.integer(), fc.maxSafeInteger(), doubles),
      },
      { weight: 2, arbitrary: fc.oneof(text, fc.boolean(), fc.constant(null)) },
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4 }),
    ),
  }))

  test('any JSON is read as bson reads it', () => {
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1, '\t'), (json, space) => {
        const source = JSON.stringify({ v: json }, undefined, space)
        const theirs = serialize(EJSON.parse(source, { relaxed: false }) as object, { ignoreUndefined: false })
        expect(parsed(source)).toBe(`03 ${Buffer.from(theirs).toString('hex')}`)
      }),
    )
  })

  test('a text that JSON refuses is refused, and one that it reads is read', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"',
      '"a"',
      '1',
      '-',
      '0',
      '.',
      'e',
      '\\',
      ' ',
      'true',
      'null',
      '\\u0041',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 9 }), (parts) => {
        const source = parts.join('')
        let valid = true
        try {
          JSON.parse(source)
        } catch {
          valid = false
        }
        expect([source, !refusal(source).startsWith('This')]).toEqual([source, valid])
      }),
      { numRuns: 2000 },
    )
  })
})

test('any depth, and any number of keys', () => {
  const depth = 100_000
  const bytes = parsed('{"a":['.repeat(depth) + ']}'.repeat(depth))
  expect(bytes.length).toBe(3 + depth * (8 + 8) * 2 - 3 * 2)
  expect(refusal('['.repeat(depth))).toBe(`This is no Extended JSON; byte ${depth} of the text: a value is missing.`)
  const many = `{${Array.from({ length: 20_000 }, (_, i) => `"k${i}":null`).join(',')}}`
  expect(parsed(many).slice(0, 2)).toBe('03')
})
