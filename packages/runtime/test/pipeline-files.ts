import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BaseConfig, secret } from '@nebula/core'
import { memoryConnector, memorySource } from '@nebula/testkit'
import type { Pipeline } from '../src/index.ts'
import { loadPipeline, register, registered } from '../src/index.ts'
import { z } from 'zod'

const { name, performance } = BaseConfig.shape
const config = BaseConfig.extend({
  path: name,
  tableName: name,
  password: secret().optional(),
  port: performance.unwrap().shape.maxConcurrency.unwrap().optional(),
  fast: z.boolean().optional(),
})

/** Registers a connector `files`, whose configuration has keys of every kind. */
export function registerFiles(): void {
  if (registered('files')) return
  register({ ...memoryConnector('files', { source: () => memorySource({ streams: [] }) }), config } as never)
}

/** Both ends of a pipeline, in two lines. */
export const ENDS = 'source: { connector: files }\ndestination: { connector: files }\n'

/** Loads a text as `shop.yaml` of a folder. */
export async function loadText(
  folder: string,
  text: string,
  environment: Record<string, string> = {},
): Promise<Pipeline> {
  registerFiles()
  const path = join(folder, 'shop.yaml')
  await writeFile(path, text)
  return loadPipeline(path, { environment })
}
