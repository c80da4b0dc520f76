import { systemClock } from '@nebula/base'
import type { Logger } from '@nebula/core'
import type { Pipeline } from '@nebula/runtime'
import { stateFile } from '@nebula/runtime'
import { parseAddress } from './address.ts'
import { ProgressFeed } from './progress-feed.ts'
import { collectMetrics } from './prometheus.ts'
import type { Serving } from './server.ts'
import { serveProgress } from './server.ts'

/** Serves the run that this process is about to begin; its metrics are collected from now on. Throws `usage`. */
export async function serveRun(pipeline: Pipeline, address: string, logger: Logger): Promise<Serving> {
  const path = stateFile(pipeline, 'progress.json')
  const at = parseAddress(address)
  const feed = new ProgressFeed({ path, ownOnly: true, clock: systemClock, logger })
  await feed.start()
  const prometheus = await collectMetrics()
  const release = async (): Promise<void> => {
    await Promise.all([feed.close(), prometheus.close()])
  }
  try {
    const serving = await serveProgress({ address: at, feed, metrics: prometheus.collect })
    return {
      url: serving.url,
      async close() {
        await serving.close()
        await release()
      },
    }
  } catch (error) {
    await release()
    throw error
  }
}
