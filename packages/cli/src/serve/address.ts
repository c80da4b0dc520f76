import { NebulaError } from '@nebula/core'

export interface Address {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
}

/** Reads `PORT` or `HOST:PORT`; a port alone is for this machine only. Throws `usage`. */
export function parseAddress(text: string): Address {
  const [, bracketed, host, digits = ''] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === '' || port > 65_535) {
    throw new NebulaError('usage', {
      message: `"${text}" is no address.`,
      fix: 'Write PORT or HOST:PORT, such as 8080 or 0.0.0.0:8080.',
    })
  }
  return { host: bracketed ?? host ?? '127.0.0.1', port }
}
