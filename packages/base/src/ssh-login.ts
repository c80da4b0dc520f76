import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { SshConfig } from '@nebula/core'
import { NebulaError } from '@nebula/core'
import type { AuthenticationType, ConnectConfig, utils } from 'ssh2'
import { expandHome } from './ssh-host-key.ts'

type Login = Pick<ConnectConfig, 'username' | 'password' | 'privateKey' | 'passphrase' | 'agent' | 'authHandler'>

/**
 * Who logs in and how: with the key, then the password; with neither, by the SSH agent. Throws `config_invalid` for a
 * key that cannot be used, and where there is nothing to log in with.
 */
export function sshLogin(config: SshConfig, { parseKey }: typeof utils): Login {
  const { password, key, passphrase } = config
  const agent = process.env['SSH_AUTH_SOCK']
  if (password === undefined && key === undefined && !agent) {
    throw invalid('security.ssh needs a key or a password: there is no SSH agent, for SSH_AUTH_SOCK is not set')
  }
  if (key === undefined && passphrase !== undefined)
    throw invalid('security.ssh.passphrase has no security.ssh.key to which it belongs')
  const login: Login = { username: sshUser(config) }
  const methods: AuthenticationType[] = ['none']
  if (key !== undefined) {
    login.privateKey = readKey(expandHome(key.reveal()))
    if (passphrase !== undefined) login.passphrase = passphrase.reveal()
    const parsed = parseKey(login.privateKey, login.passphrase)
    if (parsed instanceof Error) throw invalid(`The file of security.ssh.key cannot be used: ${parsed.message}`)
    if (!parsed.isPrivateKey()) throw invalid('The file of security.ssh.key holds a public key, and no private one')
    methods.push('publickey')
  }
  if (password !== undefined) {
    login.password = password.reveal()
    methods.push('password', 'keyboard-interactive')
  }
  if (methods.length === 1 && agent) {
    login.agent = agent
    methods.push('agent')
  }
  return { ...login, authHandler: nextMethod(methods) }
}

export function sshUser({ username }: SshConfig): string {
  return username ?? userInfo().username
}

/** Only what the server offers, and no password twice: it may lock the account. */
function nextMethod(methods: AuthenticationType[]): NonNullable<ConnectConfig['authHandler']> {
  return (offered: string[] | null) => {
    const isOffered = (method: string): boolean =>
      offered === null || offered.includes(method === 'agent' ? 'publickey' : method)
    let method = methods.shift()
    while (method !== undefined && !isOffered(method)) method = methods.shift()
    if (method === 'password') methods = methods.filter((other) => other !== 'keyboard-interactive')
    return method ?? false
  }
}

function readKey(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new NebulaError('config_invalid', { message: 'The file of security.ssh.key cannot be read.', cause })
  }
}

function invalid(what: string): NebulaError {
  return new NebulaError('config_invalid', { message: `${what.replace(/[.?]$/, '')}.` })
}
