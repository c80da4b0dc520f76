import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Paths of a certificate and its key, PEM. */
export interface CertificateFiles {
  readonly cert: string
  readonly key: string
}

/** An authority that exists for a test, in a folder of the test's own. */
export class CertificateAuthority {
  /** Path of the authority's own certificate, PEM. */
  readonly ca: string
  readonly #folder: string
  readonly #name: string

  /** Needs `openssl` on the path. `name` is that of its files and of the authority. */
  constructor(folder: string, name: string) {
    this.#folder = folder
    this.#name = name
    this.ca = this.#path('crt')
    const request = ['req', '-x509', ...NEW_KEY, '-days', '2', '-subj', `/CN=${name}`]
    openssl([...request, '-keyout', this.#path('key'), '-out', this.ca])
  }

  /** A certificate for a server of that name, or, without names of hosts, for a client of that name. */
  issue(commonName: string, hosts: readonly string[] = []): CertificateFiles {
    const [cert, key, request, extension] = ['crt', 'key', 'csr', 'ext'].map((ending) =>
      join(this.#folder, `${this.#name}-${commonName}.${ending}`),
    ) as [string, string, string, string]
    openssl(['req', ...NEW_KEY, '-subj', `/CN=${commonName}`, '-keyout', key, '-out', request])
    const names = hosts.map((host) => `DNS:${host}`).join(',')
    writeFileSync(extension, names === '' ? '' : `subjectAltName=${names}\n`)
    const signer = ['-CA', this.ca, '-CAkey', this.#path('key'), '-CAcreateserial']
    openssl(['x509', '-req', '-in', request, ...signer, '-days', '2', '-extfile', extension, '-out', cert])
    return { cert, key }
  }

  #path(ending: string): string {
    return join(this.#folder, `${this.#name}.${ending}`)
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

function openssl(args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
