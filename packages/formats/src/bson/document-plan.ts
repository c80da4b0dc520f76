import type { BufferPool, LogicalType } from '@nebula/core'
import { BytesBuilder, NebulaError, typeName, utf8 } from '@nebula/core'
import * as t from './elements.ts'

/** A column that becomes a field of documents. */
export interface DocumentField {
  /** The field's name; that of an id is `_id` whatever this says. */
  readonly name: string
  readonly type: LogicalType
  /** `overflow`: Extended JSON of a document, whose fields are put behind the others. */
  readonly role: 'id' | 'field' | 'overflow'
  /** Texts that are no strings: 24 hexadecimal digits, or Extended JSON, which json always is. */
  readonly as?: 'objectId' | 'extended'
}

/** How a value is written, densely numbered for `putValue`. */
export const BOOL = 0
export const INT8 = 1
export const UINT8 = 2
export const INT16 = 3
export const UINT16 = 4
export const INT32 = 5
export const UINT32 = 6
export const INT64 = 7
export const FLOAT64 = 8
export const STRING = 9
export const DATE = 10
export const TIMESTAMP = 11
export const FLOAT32 = 12
export const UINT64 = 13
export const DECIMAL = 14
const NUMERIC = 15
export const BINARY = 16
export const UUID = 17
export const OBJECT_ID = 18
export const HEX_ID = 19
export const EXTENDED = 20
export const LIST = 21
export const STRUCT = 22
/** Columns whose names share what is before a dot. */
export const GROUP = 23

/** By kind of type: the code, the type of the element, the bytes of a value without those of texts in it. */
const KINDS: { readonly [name in LogicalType['kind']]?: readonly [number, number, number] } = {
  bool: [BOOL, t.BOOL, 1],
  int8: [INT8, t.INT, 4],
  uint8: [UINT8, t.INT, 4],
  int16: [INT16, t.INT, 4],
  uint16: [UINT16, t.INT, 4],
  int32: [INT32, t.INT, 4],
  uint32: [UINT32, t.LONG, 8],
  int64: [INT64, t.LONG, 8],
  uint64: [UINT64, t.DECIMAL, 16],
  float32: [FLOAT32, t.DOUBLE, 8],
  float64: [FLOAT64, t.DOUBLE, 8],
  decimal: [DECIMAL, t.DECIMAL, 16],
  numeric: [NUMERIC, t.DECIMAL, 16],
  utf8: [STRING, t.STRING, 5],
  time: [STRING, t.STRING, 5],
  interval: [STRING, t.STRING, 5],
  binary: [BINARY, t.BINARY, 5],
  uuid: [UUID, t.BINARY, 21],
  date: [DATE, t.DATE, 8],
  timestamp: [TIMESTAMP, t.DATE, 8],
  json: [EXTENDED, t.NULL, 0],
  list: [LIST, t.ARRAY, 5],
  struct: [STRUCT, t.OBJECT, 5],
}

/** How one field, or an element of a list, is written. */
export interface FieldPlan {
  readonly code: number
  /** The element's type, where the value does not say it. */
  readonly type: number
  /** The element's type, its name and a NUL, as words that may be longer than `headBytes`. */
  readonly head: Int32Array
  readonly headBytes: number
  /** A null is written, not left out. */
  readonly writesNull: boolean
  /** Where its column is in the batch, and what it is called; of a group, its first. */
  readonly index: number
  readonly column: string
  /** Documents around it. */
  readonly level: number
  readonly children: readonly FieldPlan[]
  /** Of columns that are written as their canonical texts. */
  readonly text: BytesBuilder | undefined
  /** Bytes that it takes at most, without those of texts and lists. */
  readonly bytes: number
}

export interface DocumentPlan {
  /** The fields of documents, `_id` first. */
  readonly fields: readonly FieldPlan[]
  readonly names: readonly string[]
  readonly overflow: FieldPlan | undefined
}

export interface DocumentPlanOptions {
  /** In the order of the batch's columns. */
  readonly fields: readonly DocumentField[]
  readonly nulls: 'omit' | 'write'
  /** Names with dots become nested documents. */
  readonly nested: boolean
  readonly pool: BufferPool
}

interface Around {
  readonly options: DocumentPlanOptions
  readonly level: number
}

/**
 * Decides how columns are written. Throws `target_incompatible` for names that documents cannot have, or not together,
 * `unsupported` for types that they cannot hold.
 */
export function planDocuments(options: DocumentPlanOptions): DocumentPlan {
  const { fields, nested } = options
  const root: Tree = new Map()
  const around = { options, level: 1 }
  let overflow: FieldPlan | undefined
  for (const [index, field] of fields.entries()) {
    if (field.role !== 'overflow') place(root, { field, index }, pathOf(field, nested))
    else if (!overflow && isText(field))
      overflow = planField('', { field: { ...field, as: 'extended' }, index }, { options, level: 0 })
    else throw refused(field.name, 'be the overflow column: one is, of type json or utf8')
  }
  const names = [...root.keys()].sort((a, b) => Number(b === '_id') - Number(a === '_id'))
  return { fields: names.map((name) => planTree(name, root.get(name) as Tree | Leaf, around)), names, overflow }
}

interface Leaf {
  readonly field: DocumentField
  readonly index: number
}
type Tree = Map<string, Tree | Leaf>

const isText = ({ type }: DocumentField): boolean => type.kind === 'json' || type.kind === 'utf8'

function pathOf({ role, name }: DocumentField, nested: boolean): readonly string[] {
  if (role === 'id') return ['_id']
  return nested ? name.split('.') : [name]
}

function place(root: Tree, leaf: Leaf, path: readonly string[]): void {
  let tree = root
  for (const name of path.slice(0, -1)) {
    const next = tree.get(name) ?? new Map<string, Tree | Leaf>()
    if (!(next instanceof Map)) throw refused(leaf.field.name, `be nested in ${next.field.name}, which is a value`)
    tree.set(name, next)
    tree = next
  }
  const last = path.at(-1) as string
  if (tree.has(last)) throw refused(leaf.field.name, 'be a field: another column is of that name, or nested in it')
  tree.set(last, leaf)
}

function planTree(name: string, node: Tree | Leaf, around: Around): FieldPlan {
  if (!(node instanceof Map)) return planField(name, node, around)
  const inner = { ...around, level: around.level + 1 }
  const children = [...node].map(([key, child]) => planTree(key, child, inner))
  const { index, column } = children[0] as FieldPlan
  const own = { code: GROUP, type: t.OBJECT, index, column, level: around.level, children, text: undefined }
  return withHead(own, name, 5, false)
}

function planField(name: string, { field, index }: Leaf, { options, level }: Around): FieldPlan {
  const { type } = field
  const [code, elementType, width] = kindOf(field)
  const around = { options, level: level + 1 }
  const child = (childName: string, childType: LogicalType): FieldPlan =>
    planField(childName, { field: { name: field.name, type: childType, role: 'field' }, index }, around)
  let children: readonly FieldPlan[] = []
  if (type.kind === 'list') children = [child('', type.element)]
  if (type.kind === 'struct') {
    if (new Set(type.fields.map((inner) => inner.name)).size < type.fields.length)
      throw refused(field.name, 'be a document: two of its fields are of one name')
    children = type.fields.map((inner) => child(inner.name, inner.type))
  }
  const isFormatted = type.kind === 'time' || type.kind === 'interval'
  const text = isFormatted ? new BytesBuilder(utf8, options.pool) : undefined
  const own = { code, type: elementType, index, column: field.name, level, children, text }
  return withHead(own, name, width, options.nulls === 'write')
}

function kindOf({ name, type, as }: DocumentField): readonly [number, number, number] {
  const isString = type.kind === 'utf8' || type.kind === 'json'
  if (as === 'extended' && isString) return [EXTENDED, t.NULL, 0]
  if (as === 'objectId' && type.kind === 'utf8') return [HEX_ID, t.OBJECT_ID, 12]
  if (type.kind === 'native' && type.vendor === 'mongo' && type.type === 'objectId') return [OBJECT_ID, t.OBJECT_ID, 12]
  const kind = as === undefined ? KINDS[type.kind] : undefined
  if (kind) return kind
  throw new NebulaError('unsupported', {
    message: `Documents cannot hold column ${name} of type ${typeName(type)}${as === undefined ? '' : ` as ${as}`}.`,
    fix: 'Cast the column to utf8, or leave it out.',
  })
}

type Own = Omit<FieldPlan, 'head' | 'headBytes' | 'writesNull' | 'bytes'>

function withHead(own: Own, name: string, width: number, writesNull: boolean): FieldPlan {
  if (name.includes('\0')) throw refused(own.column, 'be a field: a name cannot hold a NUL')
  const encoded = new TextEncoder().encode(name)
  const headBytes = encoded.length + 2
  const head = new Uint8Array((headBytes + 3) & ~3)
  head[0] = own.type
  head.set(encoded, 1)
  const bytes = own.children.reduce((sum, child) => sum + child.bytes, headBytes + width + HEAD_SLACK)
  return { ...own, head: new Int32Array(head.buffer), headBytes, writesNull, bytes }
}

/** What writing a name in words of four bytes may write behind it, and the name of an element of a list. */
const HEAD_SLACK = 16

function refused(column: string, what: string): NebulaError {
  return new NebulaError('target_incompatible', {
    message: `Column ${JSON.stringify(column)} cannot ${what}.`,
    fix: 'Rename the column, or leave it out.',
  })
}
