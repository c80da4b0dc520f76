import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { csvFormat } from '../src/index.ts'
import { bytesOf, readCsv } from './csv-files.ts'

/** The cuts nearest behind the targets, with the file given in pieces. */
function cutsOf(file: Uint8Array, targets: readonly number[], piece = file.length, csv = {}): readonly number[] {
  const splitter = csvFormat(csv).splitter(0, targets)
  for (let at = 0; at < file.length && !splitter.done; at += piece) splitter.push(file.subarray(at, at + piece))
  return splitter.cuts
}

/** Where records begin, as the reader sees them; without lines that give none. */
function recordsOf(records: Uint8Array): number[] {
  const { offsets, faults } = readCsv(Uint8Array.from([...bytesOf('a,b\n'), ...records]))
  return [...offsets, ...faults.map((fault) => fault.offset)].map((offset) => offset - 4).sort((a, b) => a - b)
}

describe('the splitter', () => {
  test('cuts behind the first line end at or behind a target', () => {
    const file = bytesOf('aa,b\ncc,d\nee,f\n')
    expect(cutsOf(file, [1])).toEqual([5])
    expect(cutsOf(file, [5])).toEqual([5])
    expect(cutsOf(file, [6])).toEqual([10])
    expect(cutsOf(file, [1, 2, 6, 10, 11])).toEqual([5, 10, 15])
  })

  test('cuts nowhere inside quotes', () => {
    const file = bytesOf('a,"\n\n""\n,""""\n"\nb,c\n')
    expect(cutsOf(file, [1])).toEqual([16])
  })

  test('takes a quote inside an unquoted field for a letter', () => {
    expect(cutsOf(bytesOf('5" x,"\n"\nb\n'), [1])).toEqual([9])
    expect(cutsOf(bytesOf('5" x,y\n"b"\n'), [1])).toEqual([7])
  })

  test('never parts CR from LF, and takes a lone CR for a line end', () => {
    const file = bytesOf('a\r\nb\rc\r\n')
    expect(cutsOf(file, [2])).toEqual([3])
    expect(cutsOf(file, [3, 4])).toEqual([3, 5])
    expect(cutsOf(file, [2, 4, 6], 1)).toEqual([3, 5, 8])
  })

  test('stops looking when every target is found', () => {
    const splitter = csvFormat().splitter(100, [101, 103])
    splitter.push(bytesOf('a\nb\nc\n'))
    expect(splitter.done).toBe(true)
    expect(splitter.cuts).toEqual([102, 104])
  })

  test('is not offered with comments or another escape than the quote', () => {
    expect(csvFormat().splittable).toBe(true)
    expect(csvFormat({ comment: '#' }).splittable).toBe(false)
    expect(csvFormat({ escape: '\\' }).splittable).toBe(false)
  })

  const soup = fc.array(fc.constantFrom(0x22, 0x22, 0x2c, 0x0a, 0x0d, 0x61), { maxLength: 200 })
  const filler = fc.constantFrom('', 'x'.repeat(70), '"'.repeat(3), `"${'y\n'.repeat(50)}"`)

  test('cuts only where the reader finds a record, in any pieces', () => {
    const targets = fc.uniqueArray(fc.integer({ min: 1, max: 300 }), { maxLength: 5 })
    fc.assert(
      fc.property(soup, filler, targets, fc.integer({ min: 1, max: 80 }), (bytes, long, wanted, piece) => {
        const file = Uint8Array.from([...bytes, ...bytesOf(long), ...bytes])
        const sorted = wanted.toSorted((a, b) => a - b)
        const cuts = cutsOf(file, sorted)
        expect(cutsOf(file, sorted, piece)).toEqual(cuts)
        const records = recordsOf(file)
        const bounds = [0, ...cuts, file.length]
        const union = bounds.slice(1).flatMap((end, i) => {
          const begin = bounds[i] as number
          return recordsOf(file.subarray(begin, end)).map((offset) => offset + begin)
        })
        expect(union).toEqual(records)
        const late = sorted.filter((target) => {
          const next = records.find((record) => record >= target) ?? Infinity
          return (cuts.find((offset) => offset >= target) ?? Infinity) > next
        })
        expect(late).toEqual([])
      }),
      { numRuns: 1000 },
    )
  }, 60_000)
})
