import { readdirSync, readlinkSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'

/** How long what is being closed may take to be gone. */
const GONE_MS = 2_000
/** What a process opens for itself. */
const OWN = /^(anon_inode:|\/dev\/|\/proc\/)/

/** What keeps this process busy or open: files, sockets, timers, child processes. */
export class Resources {
  readonly #files: ReadonlySet<string>
  readonly #kinds: ReadonlyMap<string, number>

  private constructor() {
    this.#files = openFiles()
    this.#kinds = new Map(
      Object.entries(Object.groupBy(process.getActiveResourcesInfo(), (kind) => kind)).map(([kind, all]) => {
        return [kind, all?.length ?? 0]
      }),
    )
  }

  static now(): Resources {
    return new Resources()
  }

  /** What is there now and was not then, for people. */
  get added(): readonly string[] {
    const now = new Resources()
    const files = [...now.#files].filter((file) => !this.#files.has(file))
    const kinds = [...now.#kinds].flatMap(([kind, count]) => {
      const more = count - (this.#kinds.get(kind) ?? 0)
      return more > 0 ? [`${more} ${kind}`] : []
    })
    return [...files, ...kinds]
  }

  /** Throws what is still there of what was added, once all of it had time to go. */
  async expectNothingLeft(what: string): Promise<void> {
    const deadline = performance.now() + GONE_MS
    while (this.added.length > 0 && performance.now() < deadline) await turn()
    const { added } = this
    if (added.length > 0) throw new Error(`${what} left behind: ${added.join(', ')}.`)
  }
}

/** Each with what is behind it; empty where the system does not tell. */
function openFiles(): Set<string> {
  const targets = new Set<string>()
  for (const name of names('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`)
      if (!OWN.test(target)) targets.add(`${target} (file ${name})`)
    } catch {
      // The folder itself was open while it was read.
    }
  }
  return targets
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
