/**
 * Four bytes at a time: the word of a `DataView`, little-endian. The lowest bit that is set stands in the first byte
 * that was looked for; bits above it may err.
 */

import { CR } from './dialect.ts'

const ONES = 0x01010101
const HIGH_BITS = 0x80808080 | 0
const ABOVE_LINE_ENDS = (CR + 1) * ONES

/** A byte, four times. */
export function fourTimes(byte: number): number {
  return Math.imul(byte, ONES)
}

/** Finds a byte, given four times. */
export function findByte(word: number, fourBytes: number): number {
  const other = word ^ fourBytes
  return (other - ONES) & ~other & HIGH_BITS
}

/** Finds bytes up to CR: line ends, and controls that texts seldom have. */
export function findControl(word: number): number {
  return (word - ABOVE_LINE_ENDS) & ~word & HIGH_BITS
}

/** The index, 0 to 3, of the first byte of those that were found. */
export function firstFound(found: number): number {
  return (31 - Math.clz32(found & -found)) >> 3
}
