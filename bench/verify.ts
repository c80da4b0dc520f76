import type { VerifyReport } from '@nebula/verify'
import type { Command, Usage } from './measure.ts'
import { measure } from './measure.ts'
import type { Ground } from './routes.ts'
import { resetTarget, ROUTES, withClient } from './routes.ts'

/**
 * Measures `nebula verify` against the run that it checks, PostgreSQL to PostgreSQL, in turn; then changes one value of
 * the target and expects its key to be named. Gives lines for people.
 */
export async function* measureVerify(ground: Ground, pairs: number): AsyncIterable<string> {
  const route = ROUTES.find(({ name }) => name === 'pg-pg')
  if (!route) throw new Error('There is no route pg-pg.')
  const { sourceUrl, targetUrl, rows } = ground
  await withClient(sourceUrl, (client) =>
    client.query('ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey, l_linenumber)'),
  )
  let command: Command = { args: [] }
  for (let pair = 0; pair < pairs; pair++) {
    await resetTarget(ground)
    command = await route.nebula(ground)
    const run = await measure(command)
    const verify = await measure(verification(command, 0))
    yield `run ${run.seconds.toFixed(2)} s, verify ${verify.seconds.toFixed(2)} s: ${found(verify)}`
  }
  const order = Math.floor(rows / 8)
  await withClient(targetUrl, (client) =>
    client.query(`UPDATE lineitem SET l_tax = l_tax + 0.01 WHERE l_orderkey = ${order} AND l_linenumber < 5`),
  )
  const verify = await measure(verification(command, 4))
  yield `changed rows of order ${order}: verify ${verify.seconds.toFixed(2)} s: ${found(verify)}`
}

/** The same pipeline file, verified. */
function verification({ args, ...rest }: Command, exitCode: number): Command {
  return { ...rest, args: args.map((word) => (word === 'run' ? 'verify' : word)), exitCode }
}

function found({ stdout }: Usage): string {
  const { streams } = JSON.parse(stdout) as VerifyReport
  return streams
    .map(({ method, rows, changed, differences }) => JSON.stringify({ method, rows, changed, differences }))
    .join()
}
