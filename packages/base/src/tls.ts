import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { checkServerIdentity } from 'node:tls'
import type { TlsConfig } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/**
 * What Node needs for a connection under `security.tls`, whose modes are libpq's: `require` encrypts and proves
 * nothing unless a `ca` is given, `verify-ca` proves the certificate, `verify-full` also the name of the server.
 * Throws `config_invalid` for a file that cannot be read.
 */
export function tlsOptions({ mode, ca, cert, key, serverName }: TlsConfig, host: string): ConnectionOptions {
  const proven = mode === 'verify-ca' || mode === 'verify-full' || (mode === 'require' && ca !== undefined)
  return {
    rejectUnauthorized: proven,
    checkServerIdentity: (name, certificate) =>
      mode === 'verify-full' ? checkServerIdentity(serverName ?? (name || host), certificate) : undefined,
    ...(ca === undefined ? {} : { ca: pem(ca, 'ca') }),
    ...(cert === undefined ? {} : { cert: pem(cert, 'cert') }),
    ...(key === undefined ? {} : { key: pem(key.reveal(), 'key') }),
  }
}

function pem(path: string, key: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new NebulaError('config_invalid', { message: `The file of security.tls.${key} cannot be read.`, cause })
  }
}
