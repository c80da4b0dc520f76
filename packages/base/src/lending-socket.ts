import { Socket } from 'node:net'

/** Larger than what Node reads at once by itself: fewer calls, where the other side is fast. */
const BUFFER_BYTES = 262_144
/** Of sockets that are closed, for those to come. */
const spare: Buffer[] = []
const MOST_SPARE = 8

/**
 * A socket that reads everything into one buffer: a stream of gigabytes makes no garbage of every read. Listeners of
 * `data` get copies, unless they say by `lends` that they keep nothing beyond their call.
 */
export class LendingSocket extends Socket {
  lends = false

  constructor() {
    const own = spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
    super({
      onread: {
        buffer: own,
        callback: (length, buffer) => {
          const bytes = buffer.subarray(0, length)
          this.emit('data', this.lends ? bytes : Buffer.from(bytes))
          return true
        },
      },
    })
    this.once('close', () => {
      if (spare.length < MOST_SPARE) spare.push(own)
    })
  }
}
