import { loadEnvFile } from 'node:process'
import { NebulaError } from '@nebula/core'

/** Sets the variables of a file that are not set yet. */
export function setVariables(path: string): void {
  try {
    loadEnvFile(path)
  } catch (cause) {
    throw new NebulaError('file_not_found', { message: `The env file ${path} cannot be read.`, place: path, cause })
  }
}
