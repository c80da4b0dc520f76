/** A word of a condition. `text` is what it means: an identifier without its quotes, a word in small letters. */
export interface Token {
  readonly kind: 'word' | 'name' | 'number' | 'text' | 'symbol' | 'end' | 'unknown'
  readonly text: string
  /** As it is written. */
  readonly source: string
  /** Where it begins, in UTF-16 units. */
  readonly at: number
}

const KEYWORDS: ReadonlySet<string> = new Set('and or not in between is null like true false'.split(' '))

const TOKEN =
  /\s*(?:(?<word>[\p{L}_][\p{L}\p{N}_$]*)|"(?<name>(?:[^"]|"")+)"|'(?<text>(?:[^']|'')*)'|(?<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\p{L}\p{N}_])|(?<symbol><>|!=|<=|>=|[=<>(),])|(?<unknown>\S+)|(?<end>$))/uy

/** The words of a condition, the last of them its end. What is none is `unknown`, and then nothing follows. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  for (;;) {
    const match = TOKEN.exec(text)
    const token = match ? tokenOf(match.groups ?? {}, text, TOKEN.lastIndex) : unknownAt(text.length)
    tokens.push(token)
    if (token.kind === 'end' || token.kind === 'unknown') return tokens
  }
}

type Groups = { readonly [name: string]: string | undefined }

function tokenOf({ word, name, text: quoted, number, symbol, unknown }: Groups, text: string, end: number): Token {
  if (name !== undefined) {
    const source = `"${name}"`
    return { kind: 'name', text: name.replaceAll('""', '"'), source, at: end - source.length }
  }
  if (quoted !== undefined) {
    const source = `'${quoted}'`
    return { kind: 'text', text: quoted.replaceAll("''", "'"), source, at: end - source.length }
  }
  const source = word ?? number ?? symbol ?? unknown ?? ''
  const at = end - source.length
  if (word !== undefined) {
    const keyword = word.toLowerCase()
    return KEYWORDS.has(keyword)
      ? { kind: 'word', text: keyword, source, at }
      : { kind: 'name', text: word, source, at }
  }
  if (number !== undefined) return { kind: 'number', text: number, source, at }
  if (symbol !== undefined) return { kind: 'symbol', text: symbol === '!=' ? '<>' : symbol, source, at }
  return { kind: unknown === undefined ? 'end' : 'unknown', text: source, source, at: source === '' ? text.length : at }
}

function unknownAt(at: number): Token {
  return { kind: 'unknown', text: '', source: '', at }
}
