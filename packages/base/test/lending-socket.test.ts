import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { LendingSocket } from '../src/index.ts'

const open: { close(): unknown }[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

/** A connection to a server of its own. */
async function connected(): Promise<{ socket: LendingSocket; peer: Socket }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = new LendingSocket()
  socket.connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [[peer]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [[Socket], unknown]
  open.push(server, { close: () => socket.destroy() }, { close: () => peer.destroy() })
  return { socket, peer }
}

test('gives listeners copies, unless they take only what they need at once', async () => {
  const { socket, peer } = await connected()
  const seen: Buffer[] = []
  const next = async (): Promise<void> => {
    await once(socket, 'data')
  }
  socket.on('data', (chunk: Buffer) => seen.push(chunk))
  for (const [text, lends] of [
    ['first', false],
    ['second', true],
    ['third!', true],
  ] as const) {
    socket.lends = lends
    const arrived = next()
    peer.write(text)
    await arrived
  }
  expect(seen.map(String)).toEqual(['first', 'third!', 'third!'])
  expect(seen[1]?.buffer).toBe(seen[2]?.buffer)
})

test('waits while it is paused, and ends with its peer', async () => {
  const { socket, peer } = await connected()
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += String(chunk)))
  socket.pause()
  await new Promise<void>((resolve) => void peer.write('later', () => resolve()))
  expect([text, socket.isPaused()]).toEqual(['', true])
  const ended = once(socket, 'end')
  socket.resume()
  peer.end(', and the end')
  await ended
  expect(text).toBe('later, and the end')
})
