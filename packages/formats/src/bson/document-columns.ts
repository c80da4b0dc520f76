import type { BufferPool, Column, Field, LogicalType } from '@nebula/core'
import { anyBuilder, StructBuilder } from '@nebula/core'
import { ColumnTarget } from './column-target.ts'
import { columnTarget, StructValues } from './nested-values.ts'

/** What a field of documents fills: a column of the batch, or one for each field of a document in it. */
export interface DocumentColumn {
  readonly target: ColumnTarget
  readonly place: Place
}

/** The index of a column; of a flattened document, those of its fields. */
export type Place = number | readonly Place[]

export interface ColumnsOptions {
  /** By the index of a field. */
  readonly isLeftOut: (index: number) => boolean
  readonly isWanted: (index: number) => boolean
  /** Nothing keeps what flattened documents have beside their columns. */
  readonly isPart: boolean
  readonly pool: BufferPool
}

type Tree = Map<string, Tree | number>

/** One for each name in documents, in the order of the fields. */
export function documentColumns(fields: readonly Field[], options: ColumnsOptions): DocumentColumn[] {
  const root: Tree = new Map()
  for (const [index, { name, path = [name] }] of fields.entries()) {
    if (options.isLeftOut(index)) continue
    let tree = root
    for (const part of path.slice(0, -1)) {
      const inner = tree.get(part)
      const next: Tree = inner instanceof Map ? inner : new Map()
      tree.set(part, next)
      tree = next
    }
    tree.set(path.at(-1) as string, index)
  }
  return [...root].map(([name, node]) => {
    if (node instanceof Map) return flattened(name, node, fields, options)
    const field = fields[node] as Field
    const builder = options.isWanted(node) ? anyBuilder(field.type, options.pool) : undefined
    return { target: columnTarget(field, builder), place: node }
  })
}

/** Whether a value is in its column depends on the others of its document: all are tried, or none. */
function flattened(name: string, tree: Tree, fields: readonly Field[], options: ColumnsOptions): DocumentColumn {
  const place = placeOf(tree)
  const field = { name, type: typeOf(tree, fields), nullable: true, declared: 'object' }
  const isWanted = leavesOf(place).some(options.isWanted)
  if (!isWanted || field.type.kind !== 'struct') return { target: new ColumnTarget(field, undefined), place }
  const builder = new StructBuilder(field.type, options.pool)
  return { target: new ColumnTarget(field, builder, valuesOf(tree, builder, fields, options)), place }
}

function valuesOf(
  tree: Tree,
  { children }: StructBuilder,
  fields: readonly Field[],
  options: ColumnsOptions,
): StructValues {
  const targets = [...tree].map(([name, node], i) => {
    const builder = children[i]
    if (typeof node === 'number') return columnTarget({ ...(fields[node] as Field), name }, builder)
    const field = { name, type: typeOf(node, fields), nullable: true, declared: 'object' }
    const inner = builder instanceof StructBuilder ? valuesOf(node, builder, fields, options) : undefined
    return new ColumnTarget(field, builder, inner)
  })
  return new StructValues(targets, options.isPart ? 'part' : 'flattened')
}

function typeOf(node: Tree | number, fields: readonly Field[]): LogicalType {
  if (typeof node === 'number') return (fields[node] as Field).type
  return { kind: 'struct', fields: Array.from(node, ([name, inner]) => ({ name, type: typeOf(inner, fields) })) }
}

function placeOf(tree: Tree): readonly Place[] {
  return Array.from(tree.values(), (node) => (node instanceof Map ? placeOf(node) : node))
}

function leavesOf(place: Place): readonly number[] {
  return typeof place === 'number' ? [place] : place.flatMap(leavesOf)
}

/** Sets columns at their places. */
export function spread(column: Column | undefined, place: Place, columns: Column[]): void {
  if (typeof place === 'number') {
    if (column) columns[place] = column
  } else if (column?.layout === 'struct')
    for (const [i, child] of column.children.entries()) spread(child, place[i] as Place, columns)
}
