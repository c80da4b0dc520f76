import type { ErrorCode, NebulaError } from '@nebula/core'
import { ERROR_CODES, isNebulaError } from '@nebula/core'

/** The error that a driver threw, held to what errors must be: a NebulaError with a code of the catalogue. */
export function expectNebulaError(error: unknown, what: string): NebulaError {
  if (!isNebulaError(error)) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    throw new Error(`${what} threw what is no NebulaError: ${text}`, { cause: error })
  }
  const entry = (ERROR_CODES as { readonly [code: string]: { readonly exit: number } | undefined })[error.code]
  if (!entry) throw new Error(`${what} threw the code ${error.code}, which is not in the catalogue.`, { cause: error })
  if (error.exitCode !== entry.exit) {
    throw new Error(`${what} threw ${error.code} with exit code ${error.exitCode} instead of ${entry.exit}.`)
  }
  if (error.code === 'internal') throw new Error(`${what} threw an error of its own making: ${error.message}`)
  if (error.message.trim() === '' || error.fix.trim() === '') {
    throw new Error(`${what} threw ${error.code} without saying what happened, or what to do.`)
  }
  return error
}

/** Waits for work that must fail, with one of the codes where there are any. Returns the error. */
export async function expectFailure(
  work: () => Promise<unknown>,
  what: string,
  codes: readonly ErrorCode[] = [],
): Promise<NebulaError> {
  let error: unknown
  try {
    await work()
  } catch (thrown) {
    error = expectNebulaError(thrown, what)
  }
  if (!isNebulaError(error)) throw new Error(`${what} did not fail.`)
  if (codes.length > 0 && !codes.includes(error.code)) {
    throw new Error(`${what} failed with ${error.code} instead of ${codes.join(' or ')}: ${error.message}`)
  }
  return error
}
