import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Schema, StreamRequest, TargetRequest } from '@nebula/core'
import { utf8 } from '@nebula/core'
import { csvFormat } from '@nebula/formats'
import { describe, expect, test } from 'vitest'
import { FileDestination, LocalStore } from '../src/index.ts'
import { folderOf, schemaOf, temporaryFolder, testContext } from './harness.ts'
import { completeRun, destinationIn, runOf } from './run-harness.ts'

const context = testContext()

describe('targets', () => {
  test('are described: what stands at a target, and whether Nebula wrote it', async () => {
    const folder = await folderOf({
      'theirs.csv': 'id,day\n1,2024-01-01\n',
      'header.csv': 'x\n',
      'empty.csv': '',
      'utf16.csv': Buffer.from('\uFEFFx\n', 'utf16le'),
    })
    await completeRun(destinationIn(folder), { ours: [['1']] })
    const [theirs, ours, header, empty, utf16, nothing] = await destinationIn(folder).describe(
      ['theirs', 'ours', 'header', 'empty', 'utf16', 'nothing'],
      context,
    )
    expect(theirs?.schema.fields.map(({ name, type }) => [name, type.kind])).toEqual([
      ['id', 'int64'],
      ['day', 'date'],
    ])
    expect([theirs, ours, header, empty, utf16, nothing].map((info) => info?.foreignRows)).toEqual([
      true,
      false,
      false,
      false,
      true,
      undefined,
    ])
    await writeFile(join(folder, 'ours.csv'), 'text\nadded by hand\n')
    expect((await destinationIn(folder).describe(['ours'], context))[0]?.foreignRows).toBe(true)
  })

  test('with names that are no file names are refused, all of them at once', async () => {
    const destination = destinationIn(await temporaryFolder())
    const targets = ['a/b', '.hidden', '', 'x\0y', 'ü'.repeat(120), 'fine']
    await expect(destination.describe(targets, context)).rejects.toMatchObject({
      code: 'config_invalid',
      message: `These targets are no names of files: "a/b" holds a slash or a NUL; ".hidden" is empty or begins with a dot; "" is empty or begins with a dot; "x\\0y" holds a slash or a NUL; "${'ü'.repeat(120)}" is longer than 235 bytes.`,
    })
    await expect(destination.prepare(runOf({ '..': [] }), context)).rejects.toMatchObject({ code: 'config_invalid' })
  })
})

describe('accept', () => {
  const request: StreamRequest = { stream: 's', mode: 'overwrite', columns: [], key: [] }
  const destination = new FileDestination(new LocalStore(), csvFormat(), '.')

  test('keeps every type that has a text, exactly', () => {
    const acceptance = destination.accept(
      request,
      schemaOf({ a: 'int64', b: 'decimal(10,2)', c: 'json', d: 'binary' }),
      [],
    )
    expect(acceptance.columns.map(({ as, type, fidelity }) => [as.kind, type, fidelity])).toEqual([
      ['int64', 'text', 'exact'],
      ['decimal', 'text', 'exact'],
      ['json', 'text', 'exact'],
      ['binary', 'text', 'exact'],
    ])
    expect(acceptance).toMatchObject({ guarantee: 'exactly_once', partitionBytes: 8_000_000, problems: [] })
  })

  test('takes text for what it cannot print, where there is one', () => {
    const native = { kind: 'native', vendor: 'postgres', type: 'tsvector' } as const
    const fields = [
      { name: 'a', type: native, nullable: true, offers: [native, utf8] },
      { name: 'b', type: native, nullable: true },
    ]
    const { columns, problems } = destination.accept(request, { fields } satisfies Schema, [])
    expect(columns[0]).toMatchObject({ as: utf8, fidelity: 'widened' })
    expect(problems).toEqual([
      { code: 'unsupported', message: 'column b: postgres:tsvector has no text form', column: 'b' },
    ])
  })

  test("takes PostgreSQL's own lines under the default options", () => {
    const columns = schemaOf({ a: 'int64' })
    expect(destination.accept(request, columns, ['binary', 'csv']).wire).toBe('csv')
    expect(destination.accept(request, columns, ['binary']).wire).toBeUndefined()
    expect(
      new FileDestination(new LocalStore(), csvFormat({ delimiter: ';' }), '.').accept(request, columns, ['csv']).wire,
    ).toBeUndefined()
  })

  test('appends only the columns that the target has', () => {
    const target = { schema: schemaOf({ a: 'int64', b: 'utf8' }), foreignRows: true }
    const problems = (columns: Schema): unknown =>
      destination.accept({ ...request, mode: 'append' }, columns, [], target).problems
    expect(problems(schemaOf({ a: 'utf8', b: 'utf8' }))).toEqual([])
    expect(problems(schemaOf({ b: 'utf8', a: 'utf8' }))).toEqual([
      { code: 'target_incompatible', message: 'the target has the columns a, b instead of b, a' },
    ])
  })
})

describe('errors of the file system', () => {
  test('say that the disk is full, and where', async () => {
    const folder = await temporaryFolder()
    await symlink('/dev/full', join(folder, 'full'))
    const file = await new LocalStore().stage(join(folder, 'full'))
    await expect(file.write(new Uint8Array(10), 0)).rejects.toMatchObject({
      code: 'disk_full',
      place: join(folder, 'full'),
    })
    await file.close()
  })

  test('name the path', async () => {
    const folder = await folderOf({ 'a.csv': 'x\n', file: '' })
    await expect(destinationIn(join(folder, 'file')).prepare(runOf({}), context)).rejects.toMatchObject({
      code: 'file_failed',
      place: expect.stringContaining('file'),
    })
    await mkdir(join(folder, 'b.csv'))
    await expect(completeRun(destinationIn(folder), { b: [['1']] })).rejects.toMatchObject({
      code: 'file_failed',
      message: expect.stringContaining('b.csv'),
    })
  })

  test('refuse state of a newer version', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, '.nebula'))
    await writeFile(join(folder, '.nebula', 'shop.json'), '{"version":2}')
    await expect(destinationIn(folder).recall('shop', context)).rejects.toMatchObject({ code: 'state_newer' })
  })

  test('and a pipeline of any name has state of its own', async () => {
    const folder = await temporaryFolder()
    for (const pipeline of ['a/b', 'a_b', '../x', 'ü'.repeat(200)])
      await destinationIn(folder).prepare(runOf({}, { pipeline }), context)
    expect((await readdir(join(folder, '.nebula'))).filter((name) => name.endsWith('.json'))).toHaveLength(4)
    expect((await stat(join(folder, '.nebula'))).isDirectory()).toBe(true)
    expect(await readFile(join(folder, '.nebula', 'a_b.json'), 'utf8')).toContain('"a_b"')
  })
})

describe('check', () => {
  const request = (target: string): TargetRequest => ({ target, mode: 'overwrite' })

  test('tells every name that is no file name', async () => {
    const targets = ['fine', 'a/b', '.hidden', '', 'x\0y', 'ü'.repeat(120)]
    const checks = await destinationIn(await temporaryFolder()).check(targets.map(request))
    expect(checks.map(({ problems }) => problems.map(({ code }) => code))).toEqual([
      [],
      ...Array.from({ length: 5 }, () => ['target_incompatible']),
    ])
    expect(checks[1]?.problems[0]?.message).toBe('The target "a/b" holds a slash or a NUL.')
  })

  test('names that a file system takes for one are one only there', async () => {
    class Folding extends LocalStore {
      override readonly folds: boolean
      constructor(folds: boolean) {
        super()
        this.folds = folds
      }
    }
    const identities = async (folds: boolean): Promise<number> => {
      const destination = new FileDestination(new Folding(folds), csvFormat(), await temporaryFolder())
      const checks = await destination.check(['Ärger', 'A\u0308rger', 'ärger'].map(request))
      return new Set(checks.map(({ identity }) => identity)).size
    }
    expect([await identities(true), await identities(false)]).toEqual([1, 3])
  })

  test('tells once that no file can be made', async () => {
    const folder = await folderOf({ file: '' })
    const inside = new FileDestination(new LocalStore(), csvFormat(), join(folder, 'file', 'out'))
    const checks = await inside.check(['a', 'b'].map(request))
    expect(checks.map(({ problems }) => problems.map(({ code }) => code))).toEqual([['permission_denied'], []])
    const below = new FileDestination(new LocalStore(), csvFormat(), join(folder, 'new', 'out'))
    expect((await below.check([request('a')]))[0]?.problems).toEqual([])
  })
})
