import type { LogicalType, SimpleKind } from '@nebula/core'

/** A value that some tool changed or lost, as its canonical text, and why it is in the set. */
export interface TortureValue {
  readonly text: string
  readonly why: string
}

/** A type with the values that are hard on it. */
export interface TortureType {
  readonly type: LogicalType
  readonly values: readonly TortureValue[]
}

type Pair = readonly [text: string, why: string]

const values = (pairs: readonly Pair[]): TortureValue[] => pairs.map(([text, why]) => ({ text, why }))

const simple = (kind: SimpleKind, ...pairs: readonly Pair[]): TortureType => ({ type: { kind }, values: values(pairs) })

const decimal = (precision: number, scale: number, ...pairs: readonly Pair[]): TortureType => ({
  type: { kind: 'decimal', precision, scale },
  values: values(pairs),
})

const integer = (kind: SimpleKind, least: string, most: string, ...more: readonly Pair[]): TortureType => {
  const signed: Pair[] = [
    [least, 'the least value'],
    ['-1', 'every bit is set'],
  ]
  return simple(kind, ['0', 'zero is no null'], ...(least === '0' ? [] : signed), [most, 'the largest value'], ...more)
}

const BEYOND_DOUBLE: readonly Pair[] = [
  ['9007199254740993', '2^53 + 1: no double holds it'],
  ['4294967296', '2^32: the low word is zero'],
  ['4294967295', 'the low word is full and unsigned'],
  ['1000000000000000000', 'eighteen zeros'],
]

const LARGE_BYTES = 100_000

const TEXTS: readonly Pair[] = [
  ['', 'the empty text is no null'],
  [' ', 'a blank is kept'],
  ['  both ends  ', 'nothing is trimmed'],
  ['NULL', 'the word is no null'],
  ['null', 'the word is no null'],
  ['\\N', 'what COPY and LOAD DATA write for null'],
  ['\\.', 'what ends the data of an old COPY'],
  ['\\', 'a lone escape'],
  ['\\n', 'a backslash and a letter, not a line end'],
  ['"', 'a lone quote'],
  ['""', 'two quotes, not an empty text'],
  ['"quoted", and more', 'quotes and a delimiter'],
  ["it's; DROP TABLE x; --", 'ends a string of SQL'],
  ['a,b;c|d', 'delimiters'],
  ['a\tb', 'a tabulator'],
  ['a\nb', 'a line end inside'],
  ['a\r\nb', 'the line end of Windows inside'],
  ['a\rb', 'a lone carriage return'],
  ['\n', 'only a line end'],
  ['\r', 'only a carriage return'],
  ['ends\n', 'a line end at the end'],
  ['007', 'leading zeros are no number'],
  ['1e5', 'looks like a number'],
  ['0x10', 'looks like a number'],
  ['NaN', 'looks like a number'],
  ['true', 'looks like a boolean'],
  ['2024-01-01', 'looks like a date'],
  ['-', 'looks like nothing'],
  ['=1+1', 'a formula in a spreadsheet'],
  ['#comment', 'looks like a comment'],
  ['{"a":1}', 'looks like JSON'],
  ['a\u0000b', 'NUL: ends a string of C'],
  ['\u0001\u0008\u000b\u000c\u001b\u001f\u007f', 'control characters'],
  ['\u0085\u009f', 'control characters of two bytes; the first one ends a line for some'],
  ['\u00a0\u2003\u3000', 'blanks that are no ASCII'],
  ['\u2028\u2029', 'line ends of Unicode'],
  ['é', 'one code point'],
  ['e\u0301', 'the same letter of two code points: not normalised'],
  ['ß İ ı ſ', 'letters whose case folds to others'],
  ['שלום مرحبا', 'written from right to left'],
  ['\u202eabc', 'turns the direction of the text'],
  ['日本語 한국어', 'three bytes each'],
  ['\ufeffabc', 'a byte order mark at the beginning is part of the value'],
  ['a\ufeffb', 'a byte order mark in the middle'],
  ['\ufffd', 'the replacement character, as a value'],
  ['\uffff\ufdd0', 'code points that are no characters'],
  ['\ue000', 'private use'],
  ['\ud7ff\uf900', 'next to the surrogates'],
  ['😀', 'four bytes, two units of UTF-16'],
  ['👩‍👩‍👧', 'several code points that look like one'],
  ['\u{10ffff}', 'the last code point'],
  ['x'.repeat(LARGE_BYTES), '100 KB'],
  ['ü'.repeat(32_768), 'two bytes each, across the ends of buffers'],
]

const JSON_TEXTS: readonly Pair[] = [
  ['null', 'null of JSON is no null'],
  ['""', 'the empty string'],
  ['{}', 'nothing in it'],
  [' { "b" : 1, "a" : 2 } ', 'blanks and order are kept'],
  ['{"a":1,"a":2}', 'a key twice'],
  ['{"":0}', 'an empty key'],
  ['9007199254740993', '2^53 + 1: no double holds it'],
  ['12345678901234567890.1234567890', 'more digits than a double has'],
  ['1.0', 'not 1'],
  ['1e400', 'beyond every double'],
  ['-0', 'the sign is kept'],
  ['"\\u0000"', 'NUL, escaped'],
  ['"\\ud800"', 'half of a pair, escaped'],
  ['"\\u00e9 \\/ \\t"', 'escapes stay as they are written'],
  ['"😀\u2028"', 'no escape where none is needed'],
  ['[true,false,null,[],{}]', 'one of each kind'],
  ['['.repeat(500) + ']'.repeat(500), 'deep'],
]

const allBytes = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join('')

const DAYS: readonly Pair[] = [
  ['1970-01-01', 'zero days'],
  ['1969-12-31', 'before 1970'],
  ['1900-02-28', 'of a year that is no leap year'],
  ['2000-02-29', 'of a leap year'],
  ['1582-10-04', 'the last day of the Julian calendar'],
  ['1582-10-15', 'the first day of the Gregorian calendar'],
  ['0001-01-01', 'the first day of our era'],
  ['9999-12-31', 'the last day of four digits'],
  ['10000-01-01', 'a year of five digits'],
]

const TIMES: readonly Pair[] = [
  ['12:34:56.123456', 'microseconds'],
  ['00:00:00.000001', 'one microsecond'],
  ['23:59:59.999999', 'the last microsecond of the day'],
  ['12:00:00.1', 'a tenth: zeros at the end are left out'],
  ['12:00:00.000999', 'below a millisecond'],
]

const timestamps = (zone: boolean): TortureType => {
  const end = zone ? '+00' : ''
  const pairs: Pair[] = [
    ['1970-01-01 00:00:00', 'zero'],
    ['1969-12-31 23:59:59.999999', 'one microsecond before 1970'],
    ['2000-02-29 12:34:56.123456', 'microseconds'],
    ['2000-02-29 12:34:56.1', 'a tenth'],
    ['2001-09-09 01:46:40', 'ten digits of seconds'],
    ['2024-03-31 01:30:00', 'an hour that clocks in Europe leave out'],
    ['2024-10-27 01:30:00', 'an hour that clocks in Europe show twice'],
    ['2038-01-19 03:14:08', 'behind 32 bits of seconds'],
    ['2262-04-11 23:47:16.854776', 'behind 64 bits of nanoseconds'],
    ['1582-10-10 00:00:00', 'a day that the Gregorian calendar left out'],
    ['0001-01-01 00:00:00', 'the beginning of our era'],
    ['9999-12-31 23:59:59.999999', 'the end of four digits'],
    ['10000-01-01 00:00:00', 'a year of five digits'],
    ['294247-01-10 04:00:54.775806', 'the largest 64-bit number of microseconds but one'],
    ['294276-12-31 23:59:59.999999', 'the last one of PostgreSQL'],
  ]
  const before: Pair[] = [
    ['0001-12-31 23:59:59.999999', 'the end of the era before ours'],
    ['4714-11-24 00:00:00', 'the first one of PostgreSQL'],
  ]
  const infinite: Pair[] = [
    ['infinity', 'later than every other'],
    ['-infinity', 'earlier than every other'],
  ]
  const ours = pairs.map(([text, why]): Pair => [`${text}${end}`, why])
  const earlier = before.map(([text, why]): Pair => [`${text}${end} BC`, why])
  return { type: { kind: 'timestamp', zone }, values: values([...ours, ...earlier, ...infinite]) }
}

const NINES = '9'.repeat(38)

/** Every type with a canonical text form, with values that tools like this one changed or lost. */
export const tortureTypes: readonly TortureType[] = [
  simple('bool', ['true', 'no number'], ['false', 'false is no null']),
  integer('int8', '-128', '127'),
  integer('int16', '-32768', '32767'),
  integer('int32', '-2147483648', '2147483647'),
  integer('int64', '-9223372036854775808', '9223372036854775807', ...BEYOND_DOUBLE, [
    '-9007199254740993',
    '-(2^53 + 1): no double holds it',
  ]),
  integer('uint8', '0', '255'),
  integer('uint16', '0', '65535'),
  integer('uint32', '0', '4294967295', ['2147483648', 'negative as a signed number']),
  integer('uint64', '0', '18446744073709551615', ...BEYOND_DOUBLE, [
    '9223372036854775808',
    'negative as a signed number',
  ]),
  simple(
    'float32',
    ['NaN', 'not a number'],
    ['Infinity', 'infinite'],
    ['-Infinity', 'infinite'],
    ['-0', 'the sign of zero'],
    ['0', 'zero'],
    ['1e-45', 'the least value above zero'],
    ['3.4028235e+38', 'the largest value'],
    ['0.1', 'no more digits than it has'],
    ['1.6777216e+07', '2^24: every integer up to here'],
  ),
  simple(
    'float64',
    ['NaN', 'not a number'],
    ['Infinity', 'infinite'],
    ['-Infinity', 'infinite'],
    ['-0', 'the sign of zero'],
    ['0', 'zero'],
    ['5e-324', 'the least value above zero'],
    ['2.2250738585072014e-308', 'the least normal value'],
    ['1.7976931348623157e+308', 'the largest value'],
    ['0.1', 'no more digits than it has'],
    ['0.30000000000000004', 'seventeen digits'],
    ['123456789.12345679', 'seventeen digits'],
    ['9.007199254740992e+15', '2^53: every integer up to here'],
    ['9.999999999999999e+22', '1e23 lies in the middle of two doubles'],
  ),
  decimal(1, 0, ['9', 'the largest value'], ['-9', 'the least value'], ['0', 'zero']),
  decimal(
    10,
    2,
    ['0.00', 'zeros at the end'],
    ['1.50', 'a zero at the end'],
    ['-0.01', 'less than one, below zero'],
    ['0.10', 'no double holds it'],
    ['99999999.99', 'the largest value'],
    ['NaN', 'not a number'],
  ),
  decimal(
    38,
    0,
    [NINES, '38 digits'],
    [`-${NINES}`, '38 digits, below zero'],
    ['18446744073709551616', '2^64'],
    ['-18446744073709551617', 'below -2^64'],
    ['9007199254740993', '2^53 + 1: no double holds it'],
  ),
  decimal(38, 10, [`${'9'.repeat(28)}.${'9'.repeat(10)}`, '38 digits around the point'], ['0.0000000001', 'the last']),
  decimal(38, 38, [`0.${NINES}`, 'all digits behind the point'], [`-0.${'0'.repeat(37)}1`, 'the last digit alone']),
  simple(
    'numeric',
    ['NaN', 'not a number'],
    ['Infinity', 'infinite'],
    ['-Infinity', 'infinite'],
    ['0', 'zero'],
    ['1.50', 'a zero at the end'],
    ['1.000', 'only zeros behind the point'],
    [`${'1234567890'.repeat(6)}.${'0987654321'.repeat(4)}`, '100 digits: no decimal holds it'],
    [`0.${'0'.repeat(99)}1`, 'a hundred digits behind the point'],
    [`-1${'0'.repeat(60)}`, 'sixty zeros'],
  ),
  simple('utf8', ...TEXTS),
  simple(
    'binary',
    ['\\x', 'no bytes are no null'],
    ['\\x00', 'NUL'],
    [`\\x${allBytes}`, 'every byte'],
    ['\\xff80c0', 'no UTF-8'],
    ['\\x0d0a', 'a line end'],
    ['\\x5c78', 'a backslash and an x: looks like hexadecimal digits'],
    [`\\x${'a5'.repeat(LARGE_BYTES)}`, '100 KB'],
  ),
  simple(
    'date',
    ...DAYS,
    ['0001-12-31 BC', 'the last day before our era'],
    ['0044-03-15 BC', 'before our era'],
    ['4714-11-24 BC', 'the first day of PostgreSQL'],
    ['5874897-12-31', 'the last day of PostgreSQL'],
    ['infinity', 'later than every other'],
    ['-infinity', 'earlier than every other'],
  ),
  simple('time', ['00:00:00', 'midnight'], ['24:00:00', 'midnight at the end of the day'], ...TIMES),
  timestamps(false),
  timestamps(true),
  simple(
    'interval',
    ['PT0S', 'nothing'],
    ['P1M', 'a month has no number of days'],
    ['P1D', 'a day has no number of hours'],
    ['PT24H', 'not a day'],
    ['P1Y2M3DT4H5M6.789S', 'every part'],
    ['P-1Y-2M3DT-4H-5M-6.789S', 'parts of either sign'],
    ['PT0.000001S', 'one microsecond'],
    ['PT-0.000001S', 'one microsecond back'],
    ['P178956970Y7M', 'the largest number of months'],
    ['P2147483647D', 'the largest number of days'],
    ['PT2147483647H59M59.999999S', 'more microseconds than a double counts; the most hours that PostgreSQL 14 prints'],
  ),
  simple(
    'uuid',
    ['00000000-0000-0000-0000-000000000000', 'zeros are no null'],
    ['ffffffff-ffff-ffff-ffff-ffffffffffff', 'every bit is set'],
    ['01234567-89ab-cdef-0123-456789abcdef', 'the order of bytes'],
  ),
  simple('json', ...JSON_TEXTS),
]
