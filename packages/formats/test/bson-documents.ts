import type { LogicalType, Value } from '@nebula/core'
import { serialize } from 'bson'
import { expect } from 'vitest'
import type { DocumentEncoderOptions, DocumentField } from '../src/index.ts'
import { DocumentEncoder } from '../src/index.ts'
import type { TestColumn } from './bson-columns.ts'
import { batchOf, pool, textOf } from './bson-columns.ts'
import { exactDecimal } from './bson-decimal.ts'

export type Options = Partial<Omit<DocumentEncoderOptions, 'pool' | 'fields'>> & {
  readonly roles?: { readonly [name: string]: DocumentField['role'] }
  readonly as?: { readonly [name: string]: NonNullable<DocumentField['as']> }
}

export function encoderFor(
  columns: readonly { name: string; type: LogicalType }[],
  options: Options = {},
): DocumentEncoder {
  const { roles = {}, as = {}, ...rest } = options
  const fields = columns.map(({ name, type }): DocumentField => {
    const own = { name, type, role: roles[name] ?? (name === '_id' ? 'id' : 'field') }
    return as[name] ? { ...own, as: as[name] } : own
  })
  return new DocumentEncoder({ nulls: 'omit', nested: false, pool, ...rest, fields })
}

interface Result {
  readonly documents: readonly Buffer[]
  readonly rows: readonly number[] | undefined
  readonly rejected: readonly string[]
}

export function encode(
  columns: readonly TestColumn[],
  options: Options = {},
  from = 0,
  to = columns[0]?.values.length ?? 0,
): Result {
  const encoder = encoderFor(columns, options)
  const { data, offsets, rows, rejected } = encoder.encode(batchOf(columns), from, to)
  const documents = Array.from({ length: offsets.length - 1 }, (_, i) =>
    Buffer.from(data.subarray(offsets[i], offsets[i + 1])),
  )
  encoder.free()
  expect(offsets[0]).toBe(0)
  expect(data.length).toBe(offsets.at(-1))
  for (const rejection of rejected)
    expect(rejection).toMatchObject({ code: 'row_rejected', place: `row ${(rejection.row ?? -1) + 1} of the batch` })
  return {
    documents,
    rows: rows && [...rows],
    rejected: rejected.map(({ row, column, reason }) => `${row} ${column} ${reason}`),
  }
}

/** What bson makes of documents. A Map keeps the order of its keys, whatever they are. */
export const serialized = (...documents: readonly (readonly (readonly [string, unknown])[])[]): Buffer[] =>
  documents.map((entries) => Buffer.from(serialize(new Map(entries) as never)))

const made = (code: number, ...parts: Buffer[]): Buffer[] => [Buffer.from([code]), ...parts]

function int64(units: bigint): Buffer {
  const out = Buffer.alloc(8)
  out.writeBigInt64LE(units)
  return out
}

const int32 = (number: number): Buffer => int64(BigInt(number)).subarray(0, 4)

function double(number: number): Buffer {
  const out = Buffer.alloc(8)
  out.writeDoubleLE(number)
  return out
}

const string = (text: string): Buffer[] => made(2, int32(Buffer.byteLength(text) + 1), Buffer.from(`${text}\0`))
const int = (value: Value): Buffer[] => made(0x10, int32(value as number))

function decimal(type: LogicalType, value: Value): Buffer[] | undefined {
  const exact = exactDecimal(textOf(type, value))
  return exact && made(0x13, Buffer.from(exact.bytes))
}

function date(days: number): Buffer[] | undefined {
  return Math.abs(days) >= 0x7fffffff ? undefined : made(9, int64(BigInt(days) * 86_400_000n))
}

function timestamp(micros: bigint): Buffer[] | undefined {
  const isOutside = micros === 2n ** 63n - 1n || micros < -211_813_488_000_000_000n
  return isOutside ? undefined : made(9, int64((micros - (((micros % 1000n) + 1000n) % 1000n)) / 1000n))
}

type Twin = (value: never, type: LogicalType) => Buffer[] | undefined

/** The type's byte and the value of a column's value; undefined for one that no document holds. */
const TWINS: { readonly [kind in LogicalType['kind']]?: Twin } = {
  bool: (value: boolean) => made(8, Buffer.from([value ? 1 : 0])),
  int8: int,
  int16: int,
  int32: int,
  uint8: int,
  uint16: int,
  uint32: (value: number) => made(0x12, int64(BigInt(value))),
  int64: (value: bigint) => made(0x12, int64(value)),
  uint64: (value, type) => decimal(type, value),
  decimal: (value, type) => decimal(type, value),
  numeric: (value, type) => decimal(type, value),
  float32: (value: number) => made(1, double(value)),
  float64: (value: number) => made(1, double(value)),
  binary: (value: Uint8Array) => made(5, int32(value.length), Buffer.from([0]), Buffer.from(value)),
  uuid: (value: string) => made(5, int32(16), Buffer.from([4]), Buffer.from(value.replaceAll('-', ''), 'hex')),
  date,
  timestamp,
  time: (value, type) => string(textOf(type, value)),
  interval: (value, type) => string(textOf(type, value)),
  utf8: string,
}

/** An element as it must be; undefined for a value that no document holds. */
export function element(name: string, type: LogicalType, value: Value): Buffer | undefined {
  const [code, ...parts] = TWINS[type.kind]?.(value as never, type) ?? []
  return code && Buffer.concat([code, Buffer.from(`${name}\0`), ...parts])
}

export const documentOf = (elements: readonly Buffer[]): Buffer => {
  const length = Buffer.alloc(4)
  length.writeInt32LE(5 + elements.reduce((sum, one) => sum + one.length, 0))
  return Buffer.concat([length, ...elements, Buffer.alloc(1)])
}
