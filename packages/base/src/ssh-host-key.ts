import { createHash, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { SshConfig } from '@nebula/core'
import { NebulaError } from '@nebula/core'

/** What a client takes, best first: a server shows the first for which it has a key. */
const HOST_KEY_ALGORITHMS = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
  'ssh-rsa',
] as const

export interface HostKeyCheck {
  /** Those of keys that are known come first, or a server with several keys would show another. */
  readonly algorithms: (typeof HOST_KEY_ALGORITHMS)[number][]
  /** Why the server that shows this key, in the form of RFC 4253, is not trusted; undefined: it is. */
  readonly objection: (key: Buffer) => NebulaError | undefined
}

/** A line of known_hosts that is about the server. */
interface KnownKey {
  readonly type: string
  readonly key: string
  readonly isRevoked: boolean
}

/** How the key of the server is held against what is known of it. Throws `config_invalid` for a file that cannot be read. */
export function hostKeyCheck({ host, port, fingerprint, knownHosts }: SshConfig): HostKeyCheck {
  const refuse = (key: Buffer, why: string): NebulaError =>
    new NebulaError('host_key_unknown', {
      message: `The SSH server ${host}:${port} showed the ${keyType(key)} key ${fingerprintOf(key)}, ${why}.`,
    })
  if (fingerprint !== undefined) {
    const objection = (key: Buffer): NebulaError | undefined =>
      fingerprintOf(key) === fingerprint ? undefined : refuse(key, 'and security.ssh.fingerprint is another')
    return { algorithms: [...HOST_KEY_ALGORITHMS], objection }
  }
  const file = knownHosts === undefined ? join(homedir(), '.ssh', 'known_hosts') : expandHome(knownHosts)
  const known = knownKeys(readKnownHosts(file, knownHosts !== undefined), host, port)
  const types = new Set(known.map(({ type }) => type))
  const isKnown = (algorithm: string): boolean => types.has(algorithm.replace(/^rsa-sha2-.*/, 'ssh-rsa'))
  return {
    algorithms: HOST_KEY_ALGORITHMS.toSorted((a, b) => Number(isKnown(b)) - Number(isKnown(a))),
    objection: (key) => {
      const same = known.filter((entry) => entry.key === key.toString('base64'))
      if (same.some(({ isRevoked }) => isRevoked)) return refuse(key, `which ${file} has as revoked`)
      if (same.length > 0) return undefined
      return refuse(key, known.length === 0 ? `and ${file} has none of it` : `and ${file} has another`)
    },
  }
}

/** As `ssh-keygen -l` prints it. */
function fingerprintOf(key: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`
}

/** A path of the configuration; `~/` is the home of the user, as in ssh_config. */
export function expandHome(path: string): string {
  return path.startsWith('~/') ? join(homedir(), path.slice(2)) : path
}

function keyType(key: Buffer): string {
  return key.toString('latin1', 4, 4 + key.readUInt32BE())
}

function readKnownHosts(file: string, isAsked: boolean): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    if (!isAsked) return ''
    throw new NebulaError('config_invalid', {
      message: 'The file of security.ssh.known_hosts cannot be read.',
      cause,
    })
  }
}

/** The lines about a server (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). Those of certificate authorities say nothing of a key. */
function knownKeys(text: string, host: string, port: number): KnownKey[] {
  const name = (port === 22 ? host : `[${host}]:${port}`).toLowerCase()
  return text.split('\n').flatMap((line) => {
    const [, marker, hosts = '', type = '', key = ''] = /^\s*(@\S+\s+)?(\S+)\s+(\S+)\s+(\S+)/.exec(line) ?? []
    const isRevoked = marker?.trim() === '@revoked'
    if ((marker !== undefined && !isRevoked) || !isNamed(name, hosts)) return []
    return [{ type, key, isRevoked }]
  })
}

/** Whether a list of patterns, or the hash of a name, is of this name. */
function isNamed(name: string, hosts: string): boolean {
  const [, salt, hash] = /^\|1\|([^|]+)\|([^|]+)$/.exec(hosts) ?? []
  if (salt !== undefined) return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === hash
  const patterns = hosts.toLowerCase().split(',')
  const matches = (pattern: string): boolean => globPattern(pattern).test(name)
  return patterns.some(matches) && !patterns.some((pattern) => pattern.startsWith('!') && matches(pattern.slice(1)))
}

function globPattern(glob: string): RegExp {
  const pattern = glob
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${pattern}$`)
}
