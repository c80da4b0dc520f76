import type { BoundCondition, ComparedColumn, Condition, Literal } from './condition.ts'
import { nearest } from './nearest.ts'
import type { Schema } from './schema.ts'
import { parseText, textAt } from './text/parse-text.ts'
import type { Kind, LogicalType } from './types.ts'
import { typeName, utf8 } from './types.ts'

/** What a condition asks for that its stream does not have. */
export interface ConditionProblem {
  readonly code: 'column_not_found' | 'config_invalid'
  readonly text: string
}

/** Integers, decimals and numerics are compared as the numbers that they are, whatever type each has. */
export const EXACT_NUMBERS: ReadonlySet<Kind> = new Set<Kind>([
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'decimal',
  'numeric',
])
const FLOATS: ReadonlySet<Kind> = new Set<Kind>(['float32', 'float64'])
const COMPARABLE: ReadonlySet<Kind> = new Set<Kind>([
  ...EXACT_NUMBERS,
  ...FLOATS,
  'bool',
  'utf8',
  'binary',
  'date',
  'time',
  'timestamp',
  'uuid',
])
/** Digits before and behind the point of a number, at most. */
const MAX_DIGITS = 1000

/** The condition over the columns of `schema`; undefined, and all that is wrong with it, where it does not fit them. */
export function bindCondition(
  condition: Condition,
  schema: Schema,
): { readonly bound: BoundCondition | undefined; readonly problems: readonly ConditionProblem[] } {
  const problems: ConditionProblem[] = []
  const bound = new Binder(schema, problems).bind(condition)
  return { bound: problems.length === 0 ? bound : undefined, problems }
}

/** Stands for what could not be bound; the problems say why. */
const NOWHERE: BoundCondition = { kind: 'or', terms: [] }

class Binder {
  readonly #schema: Schema
  readonly #problems: ConditionProblem[]

  constructor(schema: Schema, problems: ConditionProblem[]) {
    this.#schema = schema
    this.#problems = problems
  }

  bind(condition: Condition): BoundCondition {
    switch (condition.kind) {
      case 'and':
      case 'or':
        return { kind: condition.kind, terms: condition.terms.map((term) => this.bind(term)) }
      case 'not':
        return { kind: 'not', term: this.bind(condition.term) }
      case 'null':
        return this.#known(condition.column) ? { kind: 'null', column: condition.column } : NOWHERE
      default:
        return this.#compared(condition)
    }
  }

  #compared(condition: Extract<Condition, { kind: 'compare' | 'in' | 'like' }>): BoundCondition {
    const column = this.#known(condition.column) && this.#comparable(condition.column)
    if (!column) return NOWHERE
    switch (condition.kind) {
      case 'compare': {
        const value = this.#value(condition.literal, column)
        return { kind: 'compare', ...column, operator: condition.operator, value }
      }
      case 'in':
        return { kind: 'in', ...column, values: condition.literals.map((literal) => this.#value(literal, column)) }
      case 'like':
        if (column.type.kind !== 'utf8') this.#invalid(`like is for text, and ${named(column)}`)
        return { kind: 'like', ...column, pattern: condition.pattern }
    }
  }

  #known(name: string): boolean {
    const names = this.#schema.fields.map((field) => field.name)
    if (names.includes(name)) return true
    const near = nearest(name, names)
    const hint = near === undefined ? `it has ${names.slice(0, 20).join(', ')}` : `did you mean ${near}?`
    const text = `where names a column "${name}" that the stream does not have; ${hint}`
    this.#problems.push({ code: 'column_not_found', text })
    return false
  }

  #comparable(name: string): ComparedColumn | undefined {
    const field = this.#schema.fields.find((candidate) => candidate.name === name)
    const asText = field?.type.kind === 'native' && field.offers?.some(({ kind }) => kind === 'utf8')
    const type = asText ? utf8 : (field?.type ?? utf8)
    if (COMPARABLE.has(type.kind)) {
      return { column: name, type, ...(field?.declared === undefined ? {} : { declared: field.declared }) }
    }
    this.#invalid(`column ${name} is ${typeName(type)}, which only "is null" can ask about`)
    return undefined
  }

  /** The canonical text of a literal in the type of the column. */
  #value(literal: Literal, column: ComparedColumn): string {
    const value = canonical(literal, column.type)
    if (value === undefined) this.#invalid(misfit(literal, column))
    return value ?? ''
  }

  #invalid(text: string): void {
    this.#problems.push({ code: 'config_invalid', text: `where: ${text}` })
  }
}

function named({ column, type }: ComparedColumn): string {
  return `column ${column} is ${typeName(type)}`
}

function misfit(literal: Literal, column: ComparedColumn): string {
  const text = literal.kind === 'bool' ? String(literal.value) : literal.text
  if (column.type.kind === 'utf8') return `${named(column)}; write '${text}' in quotes`
  return `${named(column)}, and ${literal.kind === 'text' ? `'${text}'` : text} is no such value`
}

function canonical(literal: Literal, type: LogicalType): string | undefined {
  if (literal.kind === 'bool') return type.kind === 'bool' ? String(literal.value) : undefined
  const isNumber = EXACT_NUMBERS.has(type.kind) || FLOATS.has(type.kind)
  if (literal.kind === 'number' && !isNumber) return undefined
  if (!EXACT_NUMBERS.has(type.kind)) return typedText(literal.text, type)
  return isSpecial(literal.text, type) ? literal.text : exactNumber(literal.text)
}

/** A numeric may be infinite; a decimal of so many digits may not. */
function isSpecial(text: string, { kind }: LogicalType): boolean {
  if (text === 'NaN') return kind === 'decimal' || kind === 'numeric'
  return kind === 'numeric' && /^-?Infinity$/.test(text)
}

/** The digits of a number without an exponent, a plus, or zeros that say nothing. */
function exactNumber(text: string): string | undefined {
  const match = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text)
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match ?? []
  const digits = whole + fraction
  const point = whole.length + Number(exponent)
  if (digits === '' || Math.abs(point) > MAX_DIGITS || digits.length > MAX_DIGITS) return undefined
  const number = plainNumber(digits, point)
  return sign === '-' && number !== '0' ? `-${number}` : number
}

/** Digits with their point behind so many of them, which may be none or more than there are. */
function plainNumber(digits: string, point: number): string {
  const padded = point <= 0 ? '0'.repeat(1 - point) + digits : digits.padEnd(point, '0')
  const cut = Math.max(point, 1)
  const before = padded.slice(0, cut).replace(/^0+(?=\d)/, '')
  const behind = padded.slice(cut).replace(/0+$/, '')
  return behind === '' ? before : `${before}.${behind}`
}

/** What the text means in a type, written as that type is written. */
function typedText(text: string, type: LogicalType): string | undefined {
  const column = parseText(text, type)
  return column && textAt(column, 0)
}
