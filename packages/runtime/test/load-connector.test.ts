import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { memoryConnector, memorySource } from '@nebula/testkit'
import { describe, expect, test } from 'vitest'
import { loadConnector, register } from '../src/index.ts'
import { useFolder } from './harness.ts'

const folder = useFolder()

/** Installs a package in the folder's `node_modules`; its entry is JavaScript that any copy of the runtime can load. */
async function install(name: string, code: string, manifest: object = { exports: './index.js' }): Promise<void> {
  const home = join(folder(), 'node_modules', ...name.split('/'))
  await mkdir(home, { recursive: true })
  await writeFile(join(home, 'package.json'), JSON.stringify({ name, version: '1.2.3', type: 'module', ...manifest }))
  await writeFile(join(home, 'index.js'), code)
}

/** An entry that registers a connector as `register` of another copy of the runtime does. */
const registering = (name: string): string => `
  const connectors = (globalThis[Symbol.for('@nebula/runtime registry')] ??= new Map())
  export const connector = { contract: 1, name: '${name}', version: '1.2.3', config: {}, source: () => ({}) }
  connectors.set('${name}', connector)
`

describe('loadConnector', () => {
  test('gives what is registered, without looking for a package', async () => {
    const connector = memoryConnector('loader-known', { source: () => memorySource({ streams: [] }) })
    register(connector)
    expect(await loadConnector('loader-known', folder())).toBe(connector)
  })

  test('imports the package of Nebula first', async () => {
    await install('@nebula/connector-loader-a', registering('loader-a'))
    await install('nebula-connector-loader-a', 'throw new Error("the wrong one")')
    expect(await loadConnector('loader-a', folder())).toMatchObject({ name: 'loader-a', version: '1.2.3' })
  })

  test('imports a package of the community', async () => {
    await install('nebula-connector-loader-b', registering('loader-b'))
    expect(await loadConnector('loader-b', folder())).toMatchObject({ name: 'loader-b' })
  })

  test.each([
    ['@acme/things', 'loader-c'],
    ['nebula-connector-loader-d', 'loader-d'],
  ])('imports %s by its package name', async (packageName, name) => {
    await install(packageName, registering(name))
    expect(await loadConnector(packageName, folder())).toMatchObject({ name })
  })

  test.each([
    ['conditions', { exports: { '.': { types: './index.d.ts', import: './index.js' } } }],
    ['conditions without a path', { exports: { import: './index.js' } }],
    ['nested conditions', { exports: { '.': { import: { types: './index.d.ts', default: './index.js' } } } }],
    ['main', { main: './index.js' }],
  ])('finds the entry of a package that can only be imported: %s', async (kind, manifest) => {
    const name = `loader-esm-${kind.replaceAll(' ', '-')}`
    await install(`nebula-connector-${name}`, registering(name), manifest)
    expect(await loadConnector(name, folder())).toMatchObject({ name })
  })

  test('says what to install', async () => {
    await expect(loadConnector('oracle', folder())).rejects.toMatchObject({
      code: 'connector_not_found',
      message: 'No connector "oracle": looked for the package @nebula/connector-oracle, then nebula-connector-oracle.',
      fix: 'Install it: npm install @nebula/connector-oracle',
    })
    await expect(loadConnector('@acme/oracle', folder())).rejects.toMatchObject({
      code: 'connector_not_found',
      fix: 'Install it: npm install @acme/oracle',
    })
  })

  test('names a package that registers no connector', async () => {
    await install('nebula-connector-loader-e', 'export const something = { else: true }; export const nothing = null')
    await expect(loadConnector('loader-e', folder())).rejects.toMatchObject({
      code: 'connector_invalid',
      message: 'The package nebula-connector-loader-e registers no connector "loader-e".',
    })
  })

  test('a package that is there and does not load is not called missing', async () => {
    await install('nebula-connector-loader-f', 'import "a-package-that-is-not-there"')
    await expect(loadConnector('loader-f', folder())).rejects.toMatchObject({
      code: 'connector_invalid',
      message: expect.stringContaining('a-package-that-is-not-there'),
    })
  })

  test('a package whose manifest is damaged is not called missing', async () => {
    await install('nebula-connector-loader-g', registering('loader-g'))
    await writeFile(join(folder(), 'node_modules', 'nebula-connector-loader-g', 'package.json'), '{"name":')
    await expect(loadConnector('loader-g', folder())).rejects.toMatchObject({ code: 'connector_invalid' })
  })

  test('a package without an entry to import is not found', async () => {
    await install('nebula-connector-loader-h', '', { exports: { './other': './index.js' } })
    await expect(loadConnector('loader-h', folder())).rejects.toMatchObject({ code: 'connector_not_found' })
  })
})
