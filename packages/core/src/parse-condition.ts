import type { Condition, Literal, Operator } from './condition.ts'
import type { Token } from './condition-tokens.ts'
import { tokensOf } from './condition-tokens.ts'
import { NebulaError } from './errors.ts'

/** Parentheses and `not` within each other. */
const MAX_DEPTH = 100
const OPERATORS: ReadonlySet<string> = new Set<Operator>(['=', '<>', '<', '<=', '>', '>='])
const FLIPPED: { readonly [operator in Operator]: Operator } = {
  '=': '=',
  '<>': '<>',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
}

/**
 * Reads a condition as users write it: comparisons of a column with a literal, `in`, `between`, `like`, `is null`, a
 * column that is true or false by itself, and `and`, `or`, `not` over them. Keywords may be in capitals; columns are
 * spelled exactly, and quoted where they are no plain word. Throws `config_invalid` with line and column in the text.
 */
export function parseCondition(text: string): Condition {
  return new Parser(text).whole()
}

class Parser {
  readonly #text: string
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
    this.#tokens = tokensOf(text)
  }

  whole(): Condition {
    const condition = this.#or()
    if (this.#token.kind !== 'end') throw this.#expected('and, or, or the end')
    return condition
  }

  get #token(): Token {
    return this.#tokens[this.#next] as Token
  }

  #takes(kind: 'word' | 'symbol', text: string): boolean {
    const token = this.#token
    const found = token.kind === kind && token.text === text
    if (found) this.#next++
    return found
  }

  #or(): Condition {
    const terms = [this.#and()]
    while (this.#takes('word', 'or')) terms.push(this.#and())
    return terms.length === 1 ? (terms[0] as Condition) : { kind: 'or', terms }
  }

  #and(): Condition {
    const terms = [this.#not()]
    while (this.#takes('word', 'and')) terms.push(this.#not())
    return terms.length === 1 ? (terms[0] as Condition) : { kind: 'and', terms }
  }

  #not(): Condition {
    if (++this.#depth > MAX_DEPTH) throw this.#fault(this.#token, 'it is nested too deeply')
    const condition = this.#takes('word', 'not') ? { kind: 'not' as const, term: this.#not() } : this.#primary()
    this.#depth--
    return condition
  }

  #primary(): Condition {
    if (this.#takes('symbol', '(')) {
      const condition = this.#or()
      this.#require('symbol', ')')
      return condition
    }
    const token = this.#token
    if (token.kind === 'name') {
      this.#next++
      return this.#about(token.text)
    }
    const literal = this.#literalOrNot()
    if (!literal) throw this.#expected('a column, a literal, not, or (')
    const operator = this.#operator()
    if (!operator) throw this.#expected('a comparison: = <> < <= > >=')
    const column = this.#token
    if (column.kind !== 'name') throw this.#expected('a column to compare the literal with')
    this.#next++
    return { kind: 'compare', column: column.text, operator: FLIPPED[operator], literal }
  }

  /** What is said of a column. */
  #about(column: string): Condition {
    const operator = this.#operator()
    if (operator) return { kind: 'compare', column, operator, literal: this.#literal() }
    if (this.#takes('word', 'is')) {
      const negated = this.#takes('word', 'not')
      this.#require('word', 'null')
      return negate(negated, { kind: 'null', column })
    }
    const negated = this.#takes('word', 'not')
    if (this.#takes('word', 'in')) return negate(negated, { kind: 'in', column, literals: this.#list() })
    if (this.#takes('word', 'between')) return negate(negated, this.#between(column))
    if (this.#takes('word', 'like')) return negate(negated, { kind: 'like', column, pattern: this.#pattern() })
    if (negated) throw this.#expected('in, between or like')
    return { kind: 'compare', column, operator: '=', literal: { kind: 'bool', value: true } }
  }

  #between(column: string): Condition {
    const low = this.#literal()
    this.#require('word', 'and')
    const high = this.#literal()
    return {
      kind: 'and',
      terms: [
        { kind: 'compare', column, operator: '>=', literal: low },
        { kind: 'compare', column, operator: '<=', literal: high },
      ],
    }
  }

  #list(): Literal[] {
    this.#require('symbol', '(')
    const literals = [this.#literal()]
    while (this.#takes('symbol', ',')) literals.push(this.#literal())
    this.#require('symbol', ')')
    return literals
  }

  #operator(): Operator | undefined {
    const { kind, text } = this.#token
    if (kind !== 'symbol' || !OPERATORS.has(text)) return undefined
    this.#next++
    return text as Operator
  }

  #literal(): Literal {
    const token = this.#token
    if (token.kind === 'word' && token.text === 'null')
      throw this.#fault(token, 'nothing compares with null; write "is null" or "is not null"')
    if (token.kind === 'name')
      throw this.#fault(token, `a column is compared with a literal; write '${token.text}' if it is a text`)
    const literal = this.#literalOrNot()
    if (!literal) throw this.#expected("a number, a 'text', true or false")
    return literal
  }

  #literalOrNot(): Literal | undefined {
    const { kind, text } = this.#token
    if (kind === 'number') {
      this.#next++
      return { kind: 'number', text }
    }
    if (kind === 'text') return { kind: 'text', text: this.#quoted() }
    if (kind !== 'word' || (text !== 'true' && text !== 'false')) return undefined
    this.#next++
    return { kind: 'bool', value: text === 'true' }
  }

  /** The content of a text, which is one that any system can hold. */
  #quoted(): string {
    const token = this.#token
    if (token.text.includes('\0') || !token.text.isWellFormed())
      throw this.#fault(token, 'a text holds neither a zero byte nor half a character')
    this.#next++
    return token.text
  }

  #pattern(): string {
    const token = this.#token
    if (token.kind !== 'text') throw this.#expected("a pattern in quotes, like '%abc_'")
    const pattern = this.#quoted()
    if (/(?<!\\)(\\\\)*\\$/.test(pattern)) throw this.#fault(token, 'nothing follows the last \\ of the pattern')
    return pattern
  }

  #require(kind: 'word' | 'symbol', text: string): void {
    if (!this.#takes(kind, text)) throw this.#expected(text)
  }

  #expected(what: string): NebulaError {
    const token = this.#token
    if (token.kind === 'unknown') return this.#fault(token, unknownText(token))
    return this.#fault(token, `expected ${what}, not ${token.kind === 'end' ? 'the end' : token.source}`)
  }

  #fault({ at }: Token, text: string): NebulaError {
    const before = this.#text.slice(0, at).split('\n')
    const column = Array.from(before.at(-1) ?? '').length + 1
    return new NebulaError('config_invalid', {
      message: `line ${before.length}, column ${column} of the condition: ${text}`,
    })
  }
}

function negate(negated: boolean, term: Condition): Condition {
  return negated ? { kind: 'not', term } : term
}

function unknownText({ source }: Token): string {
  const quote = source[0]
  return quote === "'" || quote === '"' ? `the ${quote} is not closed` : `${source} is not understood`
}
