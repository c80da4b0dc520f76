import { NebulaError } from '@nebula/core'

/** A table, view or type by its two names, unquoted. */
export interface TableName {
  readonly schema: string
  readonly table: string
}

/** How a vendor spells names. */
export interface NameRules {
  readonly vendor: string
  /** What stands around a quoted name, and twice for itself within. */
  readonly quote: '"' | '`'
  /** The longest name, in bytes. */
  readonly maxBytes: number
  /** Names that no column may have. */
  readonly reserved?: readonly string[]
}

/** Names of one vendor: quoted for SQL, and as people write them. */
export class Names {
  readonly #rules: NameRules

  constructor(rules: NameRules) {
    this.#rules = rules
  }

  /** As people write it. */
  get vendor(): string {
    return this.#rules.vendor
  }

  /** An identifier for SQL, always quoted. */
  quote(name: string): string {
    const { quote } = this.#rules
    return `${quote}${name.replaceAll(quote, quote + quote)}${quote}`
  }

  table({ schema, table }: TableName): string {
    return `${this.quote(schema)}.${this.quote(table)}`
  }

  list(names: readonly string[]): string {
    return names.map((name) => this.quote(name)).join(', ')
  }

  /** `schema.table` as people spell it; a part is quoted only when it holds a dot or a quote. */
  spell({ schema, table }: TableName): string {
    return [schema, table].map((part) => (/[."]/.test(part) ? `"${part.replaceAll('"', '""')}"` : part)).join('.')
  }

  /** Reads `schema.table` or `table`, parts quoted or not. Throws `target_incompatible` for what cannot be a table. */
  parse(name: string, defaultSchema: string): TableName {
    const parts = [...name.matchAll(/(?:^|\.)(?:"((?:[^"]|"")*)"|([^."]*))(?=\.|$)/gy)].map(
      ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
    )
    const [schema, table] = parts.length === 1 ? [defaultSchema, parts[0]] : parts
    if (!schema || !table || parts.length > 2) {
      const form = 'is not a table name: write table or schema.table, and "quotes" around a part with a dot'
      throw incompatible(name, form)
    }
    const fault = this.fault(schema) ?? this.fault(table)
    if (fault !== undefined) throw incompatible(name, fault)
    return { schema, table }
  }

  /** Why a name cannot be used as it is; undefined when it can. Some servers cut longer ones without a word. */
  fault(name: string): string | undefined {
    const { vendor, maxBytes } = this.#rules
    if (name === '') return `is empty; ${vendor} has no empty names`
    if (name.includes('\0')) return `holds a zero byte, which ${vendor} cannot store`
    const bytes = Buffer.byteLength(name)
    return bytes > maxBytes ? `is ${bytes} bytes long; ${vendor} keeps ${maxBytes} of a name` : undefined
  }

  /** The same for the name of a column. */
  columnFault(name: string): string | undefined {
    const { vendor, reserved } = this.#rules
    return reserved?.includes(name) ? `is reserved; ${vendor} has a column of its own under it` : this.fault(name)
  }
}

function incompatible(name: string, fault: string): NebulaError {
  return new NebulaError('target_incompatible', {
    message: `The target ${name} ${fault}.`,
    fix: 'Give the stream a target of another name.',
  })
}
