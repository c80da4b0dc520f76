// Runs a pipeline file and dies at one of its named points: `node crash-child.js FILE [POINT]`, from 0. Without a point,
// or when no such point is reached, it runs to its end. Prints the report as `nebula run --json` does.
import { writeSync } from 'node:fs'
import { loadPipeline, runPipeline } from '@nebula/runtime'
import { addCommandPoints, addFilePoints, CrashPoints, withDriverPoints } from './crash-points.ts'

const [file = '', point] = process.argv.slice(2)
const points = new CrashPoints(point === undefined ? Infinity : Number(point))
addFilePoints(points)
const loaded = await loadPipeline(file)
if (loaded.destination.connector.name === 'mongo') await addCommandPoints(points)
const pipeline = withDriverPoints(loaded, points)
const { exitCode } = await runPipeline(pipeline, {
  onEvent: (event) => {
    if (event.kind === 'report') writeSync(1, `${JSON.stringify(event.report)}\n`)
  },
})
process.exitCode = exitCode
