// Preloaded into measured processes: at the end, writes what they used to the file that NEBULA_USAGE names.
import { writeFileSync } from 'node:fs'

process.on('exit', () => {
  const { user, system } = process.cpuUsage()
  const peakBytes = process.resourceUsage().maxRSS * 1024
  writeFileSync(process.env.NEBULA_USAGE, JSON.stringify({ cpuSeconds: (user + system) / 1e6, peakBytes }))
})
