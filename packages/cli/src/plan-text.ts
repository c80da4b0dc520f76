import type { PipelinePlan, PlannedColumn, PlannedStream, PlanProblem } from '@nebula/inspect'
import { ASSUMED_BYTES_PER_SECOND } from '@nebula/inspect'
import { bytesText, countText, oneLine, plural, style, table } from './style.ts'

const RUNS: Readonly<Record<PipelinePlan['run'], string>> = {
  new: 'a new run',
  resume: 'goes on with an interrupted run',
  unknown: 'cannot run',
}

const CONSISTENCY = { snapshot: 'one snapshot', row: 'no snapshot' } as const

/** A plan as people read it. */
export function planText(plan: PipelinePlan): string {
  const { problems, denied } = plan
  return [
    `${plan.pipeline}: ${plan.source} -> ${plan.destination}, ${RUNS[plan.run]}`,
    ...plan.streams.map(streamText),
    ...(denied.length > 0 ? [`not readable, so left out: ${oneLine(denied.join(', '))}`] : []),
    ...(problems.length > 0
      ? [[`${plural(problems.length, 'problem')}; nothing was written:`, ...problems.map(problemText)].join('\n')]
      : [estimateText(plan)]),
  ].join('\n\n')
}

function streamText(stream: PlannedStream): string {
  const { rows, bytes, partitions, committed = 0 } = stream
  const facts = [
    stream.cursor === undefined ? stream.mode : `${stream.mode}, incremental by ${stream.cursor}`,
    ...(stream.since === undefined ? [] : [`from ${stream.since} on`]),
    ...(stream.key.length > 0 ? [`key ${stream.key.join(', ')}`] : []),
    stream.guarantee.replaceAll('_', ' '),
    ...(stream.consistency === undefined ? [] : [CONSISTENCY[stream.consistency]]),
    ...(stream.wire === undefined ? [] : ['bytes pass through']),
    stream.standing ? 'target stands' : 'target is new',
    ...(partitions === undefined ? [] : [plural(partitions, 'partition')]),
    ...(committed > 0 ? [`${countText(committed)} of them committed`] : []),
    ...(rows === undefined ? [] : [`about ${plural(rows, 'row')}`]),
    ...(bytes === undefined ? [] : [bytesText(bytes)]),
    ...(stream.finished ? ['finished before'] : []),
    ...(stream.restarted === undefined ? [] : [`begins again: ${stream.restarted}`]),
  ]
  const columns = table([['  column', 'source', 'steps', 'target', 'fidelity'], ...stream.columns.map(columnRow)], 5)
  const deletes = `deletes rows of ${stream.target} whose key the source no longer has, whoever wrote them`
  const done = [...stream.ddl, ...(stream.deletes ? [deletes] : [])].map((text) => `\n  ${oneLine(text)}`).join('')
  return `${oneLine(stream.stream)} -> ${oneLine(stream.target)} (${oneLine(facts.join(', '))})\n${columns}${done}`
}

function columnRow({ name, source, from, steps, type, fidelity, why }: PlannedColumn): string[] {
  const renamed = source === undefined || source === name ? '' : `${source} `
  const lost = why === undefined ? fidelity : `${fidelity}: ${why}`
  return [`  ${name}`, `${renamed}${from ?? 'added'}`, steps.join(', '), type, lost].map(oneLine)
}

function problemText({ code, stream, column, text, fix }: PlanProblem): string {
  const where = [stream, column].filter((part) => part !== undefined).join(', ')
  const head = style('red', code, process.stdout)
  return `${head}${where ? ` (${oneLine(where)})` : ''}: ${oneLine(text)}\n  ${style('bold', 'what to do:', process.stdout)} ${fix}`
}

function estimateText({ estimate: { rows, bytes, seconds, speed } }: PipelinePlan): string {
  const size = [
    rows === undefined ? 'rows unknown' : `about ${plural(rows, 'row')}`,
    ...(bytes === undefined ? [] : [bytesText(bytes)]),
  ]
  if (seconds === undefined) return `${size.join(', ')}; how long it takes is not known`
  const source = speed === 'last run' ? 'the last run' : `an assumed ${bytesText(ASSUMED_BYTES_PER_SECOND)}/s`
  return `${size.join(', ')}; about ${countText(Math.max(1, seconds))} s at the speed of ${source}`
}
