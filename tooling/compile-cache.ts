import { fileURLToPath } from 'node:url'

// Every test that runs a command in a process of its own compiles the same sources. With coverage vitest turns the cache
// off for its workers, whose positions in sources count, and with them for the processes that they start.
delete process.env['NODE_DISABLE_COMPILE_CACHE']
process.env['NODE_COMPILE_CACHE'] = fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url))
