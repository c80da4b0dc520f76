import { NebulaError } from '@nebula/core'

/** A table, view or type by its two names, unquoted. */
export interface TableName {
  readonly schema: string
  readonly table: string
}

/** Longest name in bytes (NAMEDATALEN - 1); PostgreSQL would silently cut a longer one. */
const MAX_NAME_BYTES = 63

/** An identifier for SQL, always quoted. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteTable({ schema, table }: TableName): string {
  return `${quote(schema)}.${quote(table)}`
}

export function columnList(names: readonly string[]): string {
  return names.map(quote).join(', ')
}

/** A string for SQL. `standard_conforming_strings` is on in every session. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** `schema.table` as people spell it; a part is quoted only when it holds a dot or a quote. */
export function streamName({ schema, table }: TableName): string {
  return [schema, table].map((part) => (/[."]/.test(part) ? quote(part) : part)).join('.')
}

/** Reads `schema.table` or `table`, parts quoted or not. Throws `target_incompatible` for what cannot be a table. */
export function parseTable(name: string, defaultSchema: string): TableName {
  const parts = [...name.matchAll(/(?:^|\.)(?:"((?:[^"]|"")*)"|([^."]*))(?=\.|$)/gy)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  )
  const [schema, table] = parts.length === 1 ? [defaultSchema, parts[0]] : parts
  if (schema === undefined || table === undefined || schema === '' || table === '' || parts.length > 2) {
    throw incompatible(name, 'is not a table name: write table or schema.table, and "quotes" around a part with a dot')
  }
  for (const part of [schema, table]) {
    const fault = nameFault(part)
    if (fault) throw incompatible(name, fault)
  }
  return { schema, table }
}

/** Why a name cannot be used in PostgreSQL as it is; undefined when it can. */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'is empty; PostgreSQL has no empty names'
  if (name.includes('\0')) return 'holds a zero byte, which PostgreSQL cannot store'
  const bytes = Buffer.byteLength(name)
  return bytes > MAX_NAME_BYTES ? `is ${bytes} bytes long; PostgreSQL keeps ${MAX_NAME_BYTES} of a name` : undefined
}

function incompatible(name: string, fault: string): NebulaError {
  return new NebulaError('target_incompatible', {
    message: `The target ${name} ${fault}.`,
    fix: 'Give the stream a target of another name.',
  })
}
