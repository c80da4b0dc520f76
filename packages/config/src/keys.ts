/** A map of a configuration file. */
export type Tree = { [key: string]: unknown }

/** True for a plain map: neither a list nor an object with a class, such as a secret. */
export function isTree(value: unknown): value is Tree {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** `batch_size` as `batchSize`; a key that is already camelCase stays. */
export function camelCase(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

export function mapValues(tree: Tree, map: (value: unknown) => unknown): Tree {
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, map(value)]))
}

export function withCamelKeys(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [camelCase(key), value]))
}

/** With all keys of all maps in camelCase: for sections that hold no names of the user's. */
export function deepCamelKeys(value: unknown): unknown {
  if (!isTree(value)) return value
  return mapValues(withCamelKeys(value), deepCamelKeys)
}
