import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { isConnectorFile, loadConnectorFile } from '../src/index.ts'
import { useFolder } from './harness.ts'
import { ENDS, registerFiles } from './pipeline-files.ts'

registerFiles()
const folder = useFolder()

async function write(text: string): Promise<string> {
  const path = join(folder(), 'users.yaml')
  await writeFile(path, text)
  return path
}

/** What is wrong with a file, without its folder. */
async function mistakes(text: string): Promise<string[]> {
  const error = await loadConnectorFile(await write(text)).then(
    () => new Error('it was taken'),
    (thrown: unknown) => thrown as Error,
  )
  return error.message.replaceAll(`${folder()}/`, '').split('\n')
}

describe('loadConnectorFile', () => {
  test('reads one connector, with its keys and its one stream', async () => {
    const path = await write(`name: my-source
type: source
connector: files
path: ./in
password: \${PASSWORD}
table_name: users
performance: { batch_size: 7 }
reliability: { retry_attempts: 5, circuit_breaker: true }
`)
    const file = await loadConnectorFile(path, { environment: { PASSWORD: 'hunter2' } })
    expect(file).toMatchObject({ name: 'my-source', type: 'source', stream: 'users' })
    const { connector, config } = file.endpoint
    expect(connector.name).toBe('files')
    expect(config).toMatchObject({
      path: join(folder(), 'in'),
      performance: { batchSize: 7 },
      reliability: { maxRetries: 5, circuitBreaker: { enabled: true, threshold: 5 } },
    })
    expect(JSON.stringify(file)).not.toContain('hunter2')
  })

  test('is named after itself where it says no name', async () => {
    const file = await loadConnectorFile(await write('type: destination\nconnector: files\n'))
    expect(file).toMatchObject({ name: 'users', type: 'destination', stream: undefined })
  })

  test('is told from a pipeline by its keys', async () => {
    expect(await isConnectorFile(await write('type: source\nconnector: files\n'))).toBe(true)
    expect(await isConnectorFile(await write(ENDS))).toBe(false)
  })

  test('every mistake is told with its place, at once', async () => {
    expect(await mistakes('type: sink\nconnector: files\ntimeouts:\n  request: soon\ntabel_name: x\n')).toEqual([
      expect.stringMatching(/^users\.yaml:1:1: type: .*"source"\|"destination"/),
      'users.yaml:4:3: timeouts.request: not a duration; write it like 500ms, 30s or 1h30m',
      expect.stringMatching(/^users\.yaml:5:1: unknown key tabel_name; did you mean table_name\?/),
    ])
    expect(await mistakes('connector: files\n')).toEqual([expect.stringMatching(/^users\.yaml:1:1: type: /)])
    expect(await mistakes('type: source\nconnector: oracle\n')).toEqual([
      expect.stringContaining('No connector "oracle"'),
    ])
  })
})
