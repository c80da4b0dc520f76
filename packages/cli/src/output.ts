let lost: NodeJS.ErrnoException | undefined

/**
 * Listens to stdout and stderr, whose errors would end the process otherwise. Who reads no more (EPIPE), as `head` does,
 * has seen enough; that stderr cannot be written nobody can be told.
 */
export function guardOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    lost ??= error
    process.exitCode = 3
  })
  process.stderr.on('error', () => {})
}

/** Why something that was printed did not arrive. */
export function lostOutput(): NodeJS.ErrnoException | undefined {
  // A file tells its error at once, and by its event only later.
  const errored = (process.stdout.errored ?? undefined) as NodeJS.ErrnoException | undefined
  if (errored?.code !== 'EPIPE') lost ??= errored
  return lost
}
