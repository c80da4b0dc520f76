import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { NebulaError } from '@nebula/core'
import type { CheckedTransform } from './check-transform.ts'
import { checkTransform } from './check-transform.ts'
import type { FunctionReference } from './steps.ts'

/** A function over rows that was found where the pipeline says. */
export interface FoundTransform {
  readonly reference: FunctionReference
  readonly checked: CheckedTransform
}

/** By path and content: what was planned is what runs, though the file may change meanwhile. */
const found = new Map<string, CheckedTransform>()

/** Loads the file of a transform. Throws `file_not_found`, and `transform_invalid` where it exports none. */
export async function findTransform(path: string): Promise<FoundTransform> {
  const reference = {
    path,
    hash: createHash('sha256')
      .update(await contentOf(path))
      .digest('hex'),
  }
  return { reference, checked: await imported(reference) }
}

/** The transform of a task. Throws `transform_invalid` where the file is no longer the one that was planned. */
export async function loadTransform({ path, hash }: FunctionReference): Promise<CheckedTransform> {
  const known = found.get(keyOf({ path, hash }))
  if (known) return known
  const { reference, checked } = await findTransform(path)
  if (reference.hash === hash) return checked
  throw new NebulaError('transform_invalid', {
    message: `${path} changed since the run was planned.`,
    fix: 'Run the same command again: it begins anew with the file as it is.',
    place: path,
  })
}

function keyOf({ path, hash }: FunctionReference): string {
  return `${hash} ${path}`
}

async function contentOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    const message = `The file of the transform, ${path}, cannot be read.`
    const fix = 'Correct transform in the pipeline file; the path is meant from the folder of that file.'
    throw new NebulaError('file_not_found', { message, fix, place: path, cause })
  }
}

async function imported(reference: FunctionReference): Promise<CheckedTransform> {
  const known = found.get(keyOf(reference))
  if (known) return known
  const { path, hash } = reference
  const url = pathToFileURL(path)
  url.searchParams.set('content', hash)
  let module: { readonly default?: unknown }
  try {
    module = (await import(url.href)) as typeof module
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new NebulaError('transform_invalid', {
      message: `${path} cannot be loaded: ${reason}`,
      fix: 'Correct the file; types that only TypeScript has, such as enums, cannot be stripped.',
      place: path,
      cause,
    })
  }
  const checked = checkTransform(module.default, path)
  found.set(keyOf(reference), checked)
  return checked
}
