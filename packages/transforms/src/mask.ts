import { createHash, createHmac, hash } from 'node:crypto'
import type { BufferPool, BytesColumn, Column } from '@nebula/core'
import {
  appendShortSha256,
  BytesBuilder,
  formatColumn,
  SHORT_SHA256_BYTES,
  ShortHmac,
  utf8,
  viewOf,
} from '@nebula/core'
import type { MaskStep } from './steps.ts'

/** Characters of a value that `partial` shows, and those that a value must have for it. */
const SHOWN = 4
const LEAST_SHOWN = 8
const REDACTED = '***'
const STAR = 0x2a

/** Writes one value, `data[start] .. data[end]`, for which there is room in the builder. */
type Mask = (data: Uint8Array, view: DataView, start: number, end: number) => void

/**
 * Writes what arrives instead of the values of a column into `builder`, whose `start` this calls, as text; null stays
 * null. sha256: the SHA-256 (FIPS 180-4) of the value's text or bytes, as 64 hexadecimal digits. hmac: the same, keyed
 * (RFC 2104). redact: `***`. partial: one `*` per character but the last four; a text of less than eight shows none.
 */
export function maskColumn(column: Column, step: MaskStep, builder: BytesBuilder, pool: BufferPool): void {
  const text = new BytesBuilder(utf8, pool)
  try {
    const plain = column.layout === 'bytes' && (step.kind !== 'partial' || column.type.kind !== 'binary')
    const { offsets, data, validity } = plain ? column : formatted(column, text)
    builder.start(column.length)
    const bytes = (offsets[column.length] as number) - (offsets[0] as number)
    builder.ensure(step.kind === 'partial' ? bytes : column.length * 64)
    const mask = maskOf(step, builder)
    const view = viewOf(data)
    for (let row = 0; row < column.length; row++) {
      if (validity && ((validity[row >> 3] as number) & (1 << (row & 7))) === 0) builder.setNull(row)
      else mask(data, view, offsets[row] as number, offsets[row + 1] as number)
      builder.offsets[row + 1] = builder.size
    }
  } finally {
    text.free()
  }
}

function maskOf(step: MaskStep, builder: BytesBuilder): Mask {
  switch (step.kind) {
    case 'sha256':
      return (data, view, start, end) => {
        if (end - start <= SHORT_SHA256_BYTES) appendShortSha256(view, start, end, builder)
        else appendAscii(builder, hash('sha256', data.subarray(start, end), 'hex'))
      }
    case 'hmac':
      return keyed(Buffer.from(step.key.reveal()), builder)
    case 'redact':
      return () => appendAscii(builder, REDACTED)
    case 'partial':
      return (data, _view, start, end) => appendPartial(data, start, end, builder)
  }
}

function keyed(key: Uint8Array, builder: BytesBuilder): Mask {
  const short = new ShortHmac(key.length > 64 ? createHash('sha256').update(key).digest() : key)
  return (data, view, start, end) => {
    if (end - start <= SHORT_SHA256_BYTES) short.append(view, start, end, builder)
    else appendAscii(builder, createHmac('sha256', key).update(data.subarray(start, end)).digest('hex'))
  }
}

function formatted(column: Column, out: BytesBuilder): BytesColumn {
  formatColumn(column, out)
  return out.finish()
}

function appendAscii(builder: BytesBuilder, text: string): void {
  for (let i = 0; i < text.length; i++) builder.data[builder.size++] = text.charCodeAt(i)
}

/** Characters are code points: bytes that do not continue one. */
function appendPartial(data: Uint8Array, start: number, end: number, builder: BytesBuilder): void {
  let characters = 0
  for (let i = start; i < end; i++) if (!continues(data[i] as number)) characters++
  const stars = characters < LEAST_SHOWN ? characters : characters - SHOWN
  builder.data.fill(STAR, builder.size, builder.size + stars)
  builder.size += stars
  let from = end
  for (let left = characters - stars; left > 0; from--) if (!continues(data[from - 1] as number)) left--
  for (let i = from; i < end; i++) builder.data[builder.size++] = data[i] as number
}

function continues(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}
