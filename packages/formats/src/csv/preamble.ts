import { BufferPool, NebulaError } from '@nebula/core'
import type { Preamble } from '../format.ts'
import type { CsvDialect } from './dialect.ts'
import type { FrameFault } from './framer.ts'
import { CsvFramer, SENTINELS } from './framer.ts'

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf]
const MOST_COLUMNS = 16_384

/**
 * The names of the columns: the first record's fields, or column_1 ... without a header. An empty name becomes
 * `column_3`, one that was there before `name_2`. Undefined: the first record is not complete.
 */
export function csvPreamble(dialect: CsvDialect, head: Uint8Array, complete: boolean): Preamble | undefined {
  refuseUtf16(head)
  const begin = BYTE_ORDER_MARK.every((byte, i) => head[i] === byte) ? BYTE_ORDER_MARK.length : 0
  const first = firstRecord(dialect, head, begin, complete)
  if (first === 'incomplete') return undefined
  if (first === 'none') return { names: [], size: head.length }
  if (first.fields < 0) {
    throw new NebulaError('data_invalid', {
      message: `The first line cannot be read: ${first.reason}.`,
      fix: 'Correct the line, or the options delimiter and quote.',
    })
  }
  if (first.fields > MOST_COLUMNS) {
    throw new NebulaError('data_invalid', {
      message: `The first line has ${first.fields} fields; a file may have ${MOST_COLUMNS} columns.`,
      fix: 'Correct the option delimiter.',
    })
  }
  if (!dialect.header) return { names: uniqueNames(Array.from({ length: first.fields }, () => '')), size: begin }
  return header(dialect, head.subarray(0, complete ? head.length : first.behind), first)
}

interface FirstRecord extends FrameFault {
  /** Where the next record begins. */
  readonly behind: number
}

/** The first record that is no comment and no empty line. */
function firstRecord(
  dialect: CsvDialect,
  head: Uint8Array,
  begin: number,
  complete: boolean,
): FirstRecord | 'incomplete' | 'none' {
  const data = withRoom(head)
  // With no columns every record is a fault, and tells how many fields it has.
  const framer = new CsvFramer(dialect, 0, new BufferPool(0))
  let from = begin
  while (from < head.length) {
    const end = framer.frame({ data, from, to: head.length, final: complete, rows: 1, bytes: 1 })
    if (end !== 'done') return 'incomplete'
    const record = framer.faults[0]
    if (record) return { ...record, behind: framer.next }
    from = framer.next
  }
  return complete ? 'none' : 'incomplete'
}

function header(dialect: CsvDialect, head: Uint8Array, first: FirstRecord): Preamble {
  const data = withRoom(head.subarray(0, first.behind))
  const framer = new CsvFramer({ ...dialect, nulls: [] }, first.fields, new BufferPool(0))
  framer.frame({ data, from: first.start, to: first.behind, final: true, rows: 1, bytes: first.behind })
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  try {
    const texts = Array.from({ length: first.fields }, (_, i) => {
      const start = framer.starts[i] as number
      return start < 0 ? '' : decoder.decode(data.subarray(start, framer.ends[i]))
    })
    return { names: uniqueNames(texts), size: first.behind }
  } catch (cause) {
    throw new NebulaError('data_invalid', {
      message: 'The header is not valid UTF-8.',
      fix: 'Convert the file to UTF-8: iconv -f LATIN1 -t UTF-8.',
      cause,
    })
  }
}

/** A copy with the room that a framer uses. */
function withRoom(bytes: Uint8Array): Uint8Array {
  const data = new Uint8Array(bytes.length * 2 + SENTINELS)
  data.set(bytes)
  return data
}

function refuseUtf16(head: Uint8Array): void {
  const little = head[0] === 0xff && head[1] === 0xfe
  if (!little && !(head[0] === 0xfe && head[1] === 0xff)) return
  throw new NebulaError('data_invalid', {
    message: `The file is UTF-16 (${little ? 'little' : 'big'}-endian), and only UTF-8 is read.`,
    fix: 'Convert it: iconv -f UTF-16 -t UTF-8.',
  })
}

/** Names as they are, except for those that are empty or were there before. */
function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set(names)
  const used = new Set<string>()
  const last = new Map<string, number>()
  return names.map((name, i) => {
    const base = name === '' ? `column_${i + 1}` : name
    let unique = base
    if (used.has(base) || (name === '' && taken.has(base))) {
      let count = last.get(base) ?? 1
      do unique = `${base}_${++count}`
      while (used.has(unique) || taken.has(unique))
      last.set(base, count)
    }
    used.add(unique)
    return unique
  })
}
