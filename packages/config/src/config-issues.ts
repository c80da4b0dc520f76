import { CONFIG_ALIASES, nearest, snakeCase } from '@nebula/core'
import type { z } from 'zod'
import { isTree } from './keys.ts'

type Path = readonly PropertyKey[]

/** What is wrong with one key, for people. */
export interface ConfigIssue {
  readonly path: Path
  readonly text: string
  readonly unknownKey: boolean
}

/** All that `schema` has against `tree`, with the keys spelled as files spell them. `prefix` is where the tree stands. */
export function describeIssues(
  error: z.ZodError,
  schema: z.ZodType,
  { tree, prefix }: { readonly tree: unknown; readonly prefix: readonly string[] },
): ConfigIssue[] {
  return error.issues
    .flatMap(meant)
    .map((issue) => ({ ...issue, path: writtenPath(tree, issue.path) }))
    .flatMap((issue) => describeIssue(issue, schema, prefix))
}

/** With aliases where the file has them. */
function writtenPath(tree: unknown, path: Path): PropertyKey[] {
  let node = tree
  return path.map((key) => {
    const keys = isTree(node) ? Object.keys(node) : []
    const alias = keys.find((other) => Object.hasOwn(CONFIG_ALIASES, other) && CONFIG_ALIASES[other] === key)
    const written = keys.includes(String(key)) ? key : (alias ?? key)
    node = isTree(node) ? node[String(written)] : undefined
    return written
  })
}

function describeIssue(issue: z.core.$ZodIssue, schema: z.ZodType, prefix: readonly string[]): ConfigIssue[] {
  const spell = (path: Path): string => [...prefix, ...spelled(schema, path)].join('.')
  if (issue.code !== 'unrecognized_keys') {
    const text = `${spell(issue.path) || 'the file'}: ${issueText(issue)}`
    return [{ path: [...prefix, ...issue.path], text, unknownKey: false }]
  }
  const known = keysAt(schema, issue.path).map(snakeCase)
  return issue.keys.map((key) => {
    const near = nearest(snakeCase(key), known)
    const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`
    const path = [...issue.path, key]
    return { path: [...prefix, ...path], text: `unknown key ${spell(path)}; ${hint}`, unknownKey: true }
  })
}

/** The value with texts as the numbers and booleans that its schema expects there: a variable is always a text. */
export function retyped(value: unknown, error: z.ZodError): unknown {
  return error.issues.flatMap(meant).reduce((tree, issue) => {
    const text = issue.path.reduce((node: unknown, key) => (isTree(node) ? node[String(key)] : undefined), tree)
    if (issue.code !== 'invalid_type' || typeof text !== 'string') return tree
    if (issue.expected === 'number' && /^-?\d+(\.\d+)?$/.test(text)) return replaced(tree, issue.path, Number(text))
    if (issue.expected === 'boolean' && /^(true|false)$/.test(text)) return replaced(tree, issue.path, text === 'true')
    return tree
  }, value)
}

function replaced(tree: unknown, [key, ...rest]: Path, value: unknown): unknown {
  return key === undefined ? value : isTree(tree) ? { ...tree, [key]: replaced(tree[String(key)], rest, value) } : tree
}

/** An issue, or what is wrong inside the branch of a union that got furthest: it is the one that was meant. */
function meant(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue]
  const branch = issue.errors.toSorted((a, b) => reach(b) - reach(a))[0] ?? []
  if (reach(branch) === 0) return [issue]
  return branch.flatMap((nested) => meant({ ...nested, path: [...issue.path, ...nested.path] }))
}

/** How deep the deepest of the issues lies: 0 when the value as a whole is of another kind. */
function reach(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)))
}

function issueText(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_union')
    return inOneLine(
      issue.message.replace(/^Invalid input: /, '').replace(/^(expected .*), received undefined$/, 'missing: $1'),
    )
  const branches = issue.errors.flatMap((branch) => branch[0] ?? [])
  return `expected ${[...new Set(branches.map(expectation))].join(' or ')}`
}

/** Choices may hold line ends. */
function inOneLine(text: string): string {
  return text.replace(/[\n\r\t]/g, (control) => JSON.stringify(control).slice(1, -1))
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return issue.expected
  return issue.code === 'invalid_value' ? issue.values.map(String).join(' or ') : issue.message
}

/** Keys of the schema as files spell them; names that users gave, of streams and columns, as they are. */
function spelled(schema: z.ZodType, path: Path): string[] {
  return path.map((key, i) => (isName(schema, path.slice(0, i)) ? String(key) : snakeCase(String(key))))
}

/** True where the keys below are names. */
function isName(schema: z.ZodType, path: Path): boolean {
  return nodesAt(schema, path).some(({ def }) => def.valueType !== undefined)
}

interface SchemaNode {
  readonly def: {
    readonly shape?: { [key: string]: SchemaNode }
    readonly innerType?: SchemaNode
    readonly valueType?: SchemaNode
    readonly options?: readonly SchemaNode[]
    readonly in?: SchemaNode
    readonly out?: SchemaNode
    readonly type?: string
  }
}

/** The keys that an object schema knows at a path, looking through defaults, records and unions. */
function keysAt(schema: z.ZodType, path: Path): string[] {
  return nodesAt(schema, path).flatMap(({ def }) => Object.keys(def.shape ?? {}))
}

function nodesAt(schema: z.ZodType, path: Path): SchemaNode[] {
  let nodes = unwrapped(schema as unknown as SchemaNode)
  for (const key of path) {
    nodes = nodes.flatMap(({ def }) => def.shape?.[String(key)] ?? def.valueType ?? []).flatMap(unwrapped)
  }
  return nodes
}

function unwrapped(node: SchemaNode): SchemaNode[] {
  const { innerType, options, in: input, out } = node.def
  if (innerType) return unwrapped(innerType)
  // What stands before a preprocessed schema is a function.
  if (input) return unwrapped(input.def.type === 'transform' && out ? out : input)
  return options ? options.flatMap(unwrapped) : [node]
}
