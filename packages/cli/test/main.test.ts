import { describe, expect, test } from 'vitest'
import { nebula } from './harness.ts'

describe('nebula', () => {
  test.each([['version'], ['--version'], ['-V']])('%s prints the version', async (arg) => {
    expect(await nebula(arg)).toEqual({ code: 0, stdout: 'nebula 1.2.3\n', stderr: '' })
  })

  test.each([[['--help']], [['-h']], [['help']]])('%j explains verbs, examples and exit codes', async (args) => {
    const { code, stdout, stderr } = await nebula(...args)
    expect(code).toBe(0)
    expect(stderr).toBe('')
    for (const verb of [
      'run',
      'plan',
      'check',
      'preview',
      'init',
      'discover',
      'connectors',
      'schema',
      'explain',
      'version',
    ])
      expect(stdout).toContain(`  ${verb}`)
    expect(stdout).toContain('Examples:')
    expect(stdout).toContain('130 interrupted')
  })

  test.each(['run', 'plan', 'check', 'preview', 'init', 'discover', 'connectors', 'schema', 'explain'])(
    '%s --help has examples of its own',
    async (verb) => {
      const { code, stdout } = await nebula(verb, '--help')
      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: nebula ${verb}`)
      expect(stdout).toContain(`\n  nebula ${verb}`)
    },
  )

  test('without a verb is a usage error that shows the help', async () => {
    const { code, stdout, stderr } = await nebula()
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('Usage: nebula')
  })

  test.each([
    [['rnu'], 'unknown command'],
    [['run', '--form', 'x'], '--from'],
    [['run', 'a.yaml', 'b.yaml'], 'too many arguments'],
    [['run', '--limit', '0'], 'whole number above 0'],
    [['run', '--limit', '1.5'], 'whole number above 0'],
    [['run', '--parallel', 'many'], 'whole number above 0'],
    [['run', '--mode', 'replace'], 'overwrite, append'],
    [['run', '--from'], 'argument missing'],
    [['discover', '--limit', '1'], 'unknown option'],
    [['connectors', 'csv', 'postgres'], 'too many arguments'],
  ])('%j is a usage error', async (args, text) => {
    const { code, stdout, stderr } = await nebula(...args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^nebula: /)
    expect(stderr).toContain(text)
  })

  test.each([
    [['run']],
    [['run', '--from', 'csv:./in']],
    [['run', '--to', 'csv:./out']],
    [['run', 'shop.yaml', '--from', 'csv:./in']],
    [['run', 'shop.yaml', '--to', 'csv:./out']],
    [['run', 'shop.yaml', '--from', 'csv:./in', '--to', 'csv:./out']],
    [['discover']],
    [['plan']],
    [['plan', 'shop.yaml', '--from', 'csv:./in']],
    [['check']],
    [['preview', 'shop.yaml', '--from', 'csv:./in']],
    [['init']],
    [['discover', 'shop.yaml', '--from', 'csv:./in']],
  ])('%j is not clear', async (args) => {
    const { code, stdout, stderr } = await nebula(...args)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('error usage: ')
    expect(stderr).toContain('what to do: ')
  })
})
