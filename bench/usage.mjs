// Preloaded into measured processes: at the end, writes what they used to the file that NEBULA_USAGE names.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

/** In KB. What getrusage says begins with what the parent had when it forked. */
function peak() {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'latin1') : ''
  return Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS)
}

process.on('exit', () => {
  const { user, system } = process.cpuUsage()
  const peakBytes = peak() * 1024
  writeFileSync(process.env.NEBULA_USAGE, JSON.stringify({ cpuSeconds: (user + system) / 1e6, peakBytes }))
})
