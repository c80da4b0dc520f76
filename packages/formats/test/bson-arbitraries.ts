import type { RawElement, RawValue } from '@nebula/testkit/raw-bson'
import { array, binary, codeWithScope, cstring, decimal128, document, double } from '@nebula/testkit/raw-bson'
import { int32, int64, string } from '@nebula/testkit/raw-bson'
import fc from 'fast-check'

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size }).map((some) => Buffer.from(some))
const someBytes = fc.uint8Array({ maxLength: 40 }).map((some) => Buffer.from(some))
const words = fc.string({ unit: 'grapheme', maxLength: 12 })
const withoutNul = words.map((text) => text.replaceAll('\0', ''))

const longs = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 33n), max: 2n ** 33n }),
  fc.constantFrom(2n ** 31n, 2n ** 31n - 1n, -(2n ** 31n), -(2n ** 31n) - 1n, 2n ** 53n + 1n, 0n),
)

const dates = fc.oneof(
  longs,
  fc.bigInt({ min: -62_135_596_800_000n, max: 253_402_300_800_000n }),
  fc.constantFrom(9_223_372_036_854_775n, 9_223_372_036_854_776n, -9_223_372_036_854_775n, 253_402_300_799_999n, -1n),
)

/** Those that JavaScript has. */
const usualDates = dates
  .map((millis) => BigInt.asIntN(53, millis))
  .filter((millis) => millis ** 2n <= 8_640_000_000_000_000n ** 2n)

export const SPECIAL_DECIMALS: readonly Buffer[] = ['7c', '78', 'f8'].map((top) =>
  Buffer.from(`${'00'.repeat(15)}${top}`, 'hex'),
)

const decimals = fc.oneof(
  fc
    .tuple(fc.bigInt({ min: 0n, max: 10n ** 34n - 1n }), fc.integer({ min: -6176, max: 6111 }), fc.boolean())
    .map(([coefficient, exponent, negative]) => decimal128(coefficient, exponent, negative)),
  fc
    .tuple(fc.bigInt({ min: 0n, max: 10n ** 20n }), fc.integer({ min: -30, max: 3 }), fc.boolean())
    .map(([coefficient, exponent, negative]) => decimal128(coefficient, exponent, negative)),
  fc.constantFrom(...SPECIAL_DECIMALS),
)

const value = (type: number, values: fc.Arbitrary<Buffer>): fc.Arbitrary<RawValue> =>
  values.map((some) => ({ type, bytes: some }))

/** Values that any BSON library writes: no types nested in them. */
const plain = fc.oneof(
  {
    weight: 3,
    arbitrary: value(
      0x10,
      fc.integer().map((int) => int32(int)),
    ),
  },
  { weight: 2, arbitrary: value(0x12, longs.map(int64)) },
  { weight: 2, arbitrary: value(0x01, fc.oneof(fc.double({ noNaN: true }), fc.integer()).map(double)) },
  { weight: 3, arbitrary: value(0x02, words.map(string)) },
  { weight: 2, arbitrary: value(0x07, bytes(12)) },
  {
    weight: 2,
    arbitrary: value(
      0x08,
      fc.constantFrom(0, 1).map((bit) => Buffer.of(bit)),
    ),
  },
  { weight: 2, arbitrary: value(0x09, usualDates.map(int64)) },
  { weight: 2, arbitrary: value(0x0a, fc.constant(Buffer.alloc(0))) },
  value(0x13, decimals),
  value(0x11, longs.map(int64)),
  value(
    0x05,
    fc
      .tuple(fc.constantFrom(0, 1, 3, 5, 6, 7, 8, 9, 128, 255), someBytes)
      .map(([subtype, data]) => binary(subtype, data)),
  ),
  value(
    0x05,
    bytes(16).map((data) => binary(4, data)),
  ),
  value(
    0x05,
    someBytes.map((data) => binary(2, Buffer.concat([int32(data.length), data]))),
  ),
  value(
    0x0b,
    fc.tuple(withoutNul, fc.constantFrom('', 'i', 'imx', 'su')).map((parts) => Buffer.concat(parts.map(cstring))),
  ),
  value(0x0d, words.map(string)),
  value(0x0e, words.map(string)),
  value(0xff, fc.constant(Buffer.alloc(0))),
  value(0x7f, fc.constant(Buffer.alloc(0))),
)

/** Values that bson changes, and those that no text says: other bits, bytes that are no UTF-8, lengths that disagree. */
const odd = fc.oneof(
  // A UUID of any length, which no library reads.
  value(
    0x05,
    someBytes.map((data) => binary(4, data)),
  ),
  value(0x06, fc.constant(Buffer.alloc(0))),
  value(
    0x0c,
    fc.tuple(words, bytes(12)).map(([namespace, id]) => Buffer.concat([string(namespace), id])),
  ),
  value(0x09, dates.map(int64)),
  value(
    0x01,
    bytes(8).map((data) => Buffer.concat([data.subarray(0, 6), Buffer.of(0xf8 | 0xf0, 0x7f)])),
  ),
  value(
    0x01,
    fc.constantFrom('000000000000f8ff', '010000000000f07f', '000000000000f87f').map((hex) => Buffer.from(hex, 'hex')),
  ),
  value(0x02, someBytes.map(string)),
  value(0x0d, someBytes.map(string)),
  value(0x13, bytes(16)),
  value(
    0x08,
    fc.integer({ min: 2, max: 255 }).map((byte) => Buffer.of(byte)),
  ),
  value(
    0x05,
    someBytes.map((data) => binary(2, data)),
  ),
  value(
    0x0b,
    fc.constantFrom('xi', 'zz', 'é').map((options) => Buffer.concat([cstring(Buffer.of(0xff)), cstring(options)])),
  ),
  value(
    0x0b,
    fc.constantFrom('xi', 'zz').map((options) => Buffer.concat([cstring('a/b'), cstring(options)])),
  ),
)

const WRAPPERS = ['$oid', '$date', '$numberInt', '$binary', '$code', '$scope', '$bson', '$uuid', '$regex', '$minKey']
/** Few, so that names repeat, and lie in columns. */
const usualNames = fc.constantFrom('a', 'b', 'c', 'long name of a field')
const rareNames = fc.oneof(
  fc.constantFrom(
    '',
    'a.b',
    '.',
    '$',
    '$ref',
    '$id',
    '$set',
    '__proto__',
    'constructor',
    'toString',
    'ä€😀',
    '_overflow',
    '_id',
  ),
  withoutNul,
)
const oddNames = fc.oneof(
  fc.constantFrom(...WRAPPERS).map((name) => Buffer.from(name)),
  someBytes.map((data) => Buffer.from(data.filter((byte) => byte !== 0))),
)

export interface RawOptions {
  /** Only what Extended JSON says without bytes, and any library writes: no repeated names, and so on. */
  readonly usual: boolean
  readonly maxDepth?: number
}

/** Elements of a document, any type and any depth up to 4. */
export function rawElements({ usual, maxDepth = 4 }: RawOptions): fc.Arbitrary<RawElement[]> {
  const leaf: fc.Arbitrary<RawValue> = usual ? plain : fc.oneof({ weight: 4, arbitrary: plain }, odd)
  const names: fc.Arbitrary<Buffer> = usual
    ? fc.oneof(usualNames, withoutNul.filter(isOrdinary)).map((name) => Buffer.from(name))
    : fc.oneof(
        { weight: 6, arbitrary: usualNames.map((name) => Buffer.from(name)) },
        { weight: 2, arbitrary: rareNames.map((name) => Buffer.from(name)) },
        oddNames,
      )
  const { elements } = fc.letrec<{ value: RawValue; elements: RawElement[] }>((tie) => ({
    value: fc.oneof(
      { maxDepth, withCrossShrink: true },
      { weight: 6, arbitrary: leaf },
      tie('elements').map((list) => ({ type: 0x03, bytes: document(list) })),
      fc.array(tie('value'), { maxLength: 4 }).map((list) => ({ type: 0x04, bytes: array(list) })),
      fc
        .tuple(words, tie('elements'))
        .map(([code, scope]) => ({ type: 0x0f, bytes: codeWithScope(code, document(scope)) })),
      ...(usual ? [] : [tie('elements').map((list) => ({ type: 0x04, bytes: document(list) }))]),
    ),
    elements: fc
      .array(
        fc.tuple(names, tie('value')).map(([name, some]): RawElement => ({ name, ...some })),
        { maxLength: 6 },
      )
      .map((list) => (usual ? withoutRepeats(list) : list)),
  }))
  return elements
}

/** Documents of a few fields, nested ones and arrays among them, which nearly all of them have as the others do. */
export function likeDocuments(): fc.Arbitrary<RawElement[][]> {
  const int = value(0x10, fc.integer().map(int32))
  const text = value(0x02, words.map(string))
  const flag = value(
    0x08,
    fc.constantFrom(0, 1).map((bit) => Buffer.of(bit)),
  )
  const list = (of: fc.Arbitrary<RawValue>): fc.Arbitrary<RawValue> =>
    value(0x04, fc.array(seldomOther(of), { maxLength: 4 }).map(array))
  const within = (fields: Fields): fc.Arbitrary<RawValue> => value(0x03, like(fields).map(document))
  const inner: Fields = [
    ['b', text],
    ['c', flag],
    ['l', list(flag)],
  ]
  const o: Fields = [
    ['a', int],
    ['b', within(inner)],
    ['c', text],
    ['d', list(within(inner))],
  ]
  const fields: Fields = [
    ['a', int],
    ['o', within(o)],
    ['l', list(text)],
    ['ll', list(list(int))],
  ]
  return fc.array(like(fields), { minLength: 1, maxLength: 20 })
}

type Fields = readonly (readonly [name: string, value: fc.Arbitrary<RawValue>])[]

function seldomOther(some: fc.Arbitrary<RawValue>): fc.Arbitrary<RawValue> {
  return fc.oneof({ weight: 12, arbitrary: some }, plain, odd)
}

function like(fields: Fields): fc.Arbitrary<RawElement[]> {
  const each = fields.map(([name, some]) => {
    const found = seldomOther(some).map((one) => [{ name: Buffer.from(name), ...one }])
    return fc.oneof({ weight: 6, arbitrary: found }, fc.constant<RawElement[]>([]))
  })
  const all = fc.tuple(...each).map((list) => list.flat())
  return fc
    .oneof(
      { weight: 12, arbitrary: all },
      all.map((list) => list.toReversed()),
      all.map((list) => [...list, ...list.slice(0, 1)]),
      fc.tuple(all, rareNames, plain).map(([list, name, some]) => [...list, { name: Buffer.from(name), ...some }]),
    )
    .map((list) => list.filter(({ name }) => !/^_(id|overflow)$/.test(String(name))))
}

/** A whole document. */
export function rawDocument(options: RawOptions): fc.Arbitrary<Buffer> {
  return rawElements(options).map(document)
}

/** No wrapper, no reference, and no number, which JavaScript would put first. */
function isOrdinary(name: string): boolean {
  return !name.startsWith('$') && !/^\d+$/.test(name) && name !== '__proto__'
}

function withoutRepeats(elements: readonly RawElement[]): RawElement[] {
  return [...new Map(elements.map((some) => [some.name.toString('latin1'), some])).values()]
}
