import type { AnyBuilder, BufferPool, Column, Field, LogicalType } from '@nebula/core'
import { anyBuilder, StructBuilder } from '@nebula/core'
import { ColumnTarget } from './column-target.ts'
import { columnTarget, StructValues } from './nested-values.ts'

/** What a field of documents fills: a column of the batch, or one for each field of a document in it. */
export interface DocumentColumn {
  readonly target: ColumnTarget
  readonly place: Place
}

/** The index of a column; of a flattened document, those of its fields. */
type Place = number | readonly Place[]

interface ColumnsOptions {
  readonly fields: readonly Field[]
  /** By the index of a field. */
  readonly isLeftOut: (index: number) => boolean
  readonly isWanted: (index: number) => boolean
  /** Nothing keeps what flattened documents have beside their columns. */
  readonly isPart: boolean
  readonly pool: BufferPool
}

/** A field of documents: the index of its column, or the fields in it. */
type Node = number | Tree
type Tree = Map<string, Node>

/** One for each name in documents, in the order of the fields. */
export function documentColumns(options: ColumnsOptions): DocumentColumn[] {
  const { fields, isLeftOut, isWanted, pool } = options
  const root: Tree = new Map()
  for (const [index, { name, path = [name] }] of fields.entries()) if (!isLeftOut(index)) place(root, path, index)
  return Array.from(root, ([name, node]) => {
    const columns = placeOf(node)
    // Whether a value is in its column depends on the others of its document: all are tried, or none.
    const builder = leavesOf(columns).some(isWanted) ? anyBuilder(typeOf(node, fields), pool) : undefined
    return { target: targetOf(name, node, builder, options), place: columns }
  })
}

function place(root: Tree, path: readonly string[], index: number): void {
  let tree = root
  for (const part of path.slice(0, -1)) {
    const known = tree.get(part)
    const next: Tree = known instanceof Map ? known : new Map()
    tree.set(part, next)
    tree = next
  }
  tree.set(path.at(-1) as string, index)
}

function targetOf(name: string, node: Node, builder: AnyBuilder | undefined, options: ColumnsOptions): ColumnTarget {
  const { fields, isPart } = options
  if (typeof node === 'number') return columnTarget({ ...(fields[node] as Field), name }, builder)
  const field = { name, type: typeOf(node, fields), nullable: true, declared: 'object' }
  if (!(builder instanceof StructBuilder)) return new ColumnTarget(field, undefined)
  const inner = Array.from(node, ([part, child], i) => targetOf(part, child, builder.children[i], options))
  return new ColumnTarget(field, builder, new StructValues(inner, isPart ? 'part' : 'flattened'))
}

function typeOf(node: Node, fields: readonly Field[]): LogicalType {
  if (typeof node === 'number') return (fields[node] as Field).type
  return { kind: 'struct', fields: Array.from(node, ([name, inner]) => ({ name, type: typeOf(inner, fields) })) }
}

function placeOf(node: Node): Place {
  return typeof node === 'number' ? node : Array.from(node.values(), placeOf)
}

function leavesOf(columns: Place): readonly number[] {
  return typeof columns === 'number' ? [columns] : columns.flatMap(leavesOf)
}

/** Sets columns at their places. */
export function spread(column: Column | undefined, place: Place, columns: Column[]): void {
  if (typeof place === 'number') {
    if (column) columns[place] = column
  } else if (column?.layout === 'struct')
    for (const [i, child] of column.children.entries()) spread(child, place[i] as Place, columns)
}
