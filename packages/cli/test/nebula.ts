import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { FaultyRoute, Outcome, Program, Route, RunCommand, SceneOptions } from '@nebula/testkit'
import { CRASH_CHILD, FaultyScene, runCommand, Scene } from '@nebula/testkit'

/** The entry of the nebula command. */
export const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))

/** A module of the sources as a program. */
function program(path: string): Program {
  return { command: [process.execPath, '--conditions=source', path], env: { NODE_OPTIONS: '' } }
}

/** The nebula command, from the sources. */
const NEBULA = program(BIN)
/** The child that dies at a named point. */
const CHILD = program(CRASH_CHILD)

export interface Invocation {
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** Runs the nebula command in a process of its own, as `runCommand` does. */
export function runNebula(
  { args, cwd, env }: Invocation,
  killAfterMs?: number,
  started?: (child: ChildProcess) => void,
): Promise<Outcome> {
  const run: RunCommand = { command: [...NEBULA.command, ...args, '--json'], cwd, env: { ...NEBULA.env, ...env } }
  return runCommand(run, killAfterMs, started)
}

/** A scene that the nebula command plays. */
export function createScene(
  route: Route,
  servers: SceneOptions['servers'],
  more: Partial<SceneOptions> = {},
): Promise<Scene> {
  return Scene.create(route, { servers, nebula: NEBULA, child: CHILD, ...more })
}

/** `server` is that of the faulty end, `other` that of the sound one. */
export function createFaultyScene(route: FaultyRoute, server: string, other = server): Promise<FaultyScene> {
  const servers = route.faulty === 'source' ? { source: server, target: other } : { source: other, target: server }
  return FaultyScene.create(route, { servers, nebula: NEBULA })
}
