import { describe, expect, test } from 'vitest'
import { checkTargets } from '../src/check-targets.ts'
import type { SqlDialect, SqlSession, TableRights, TableUse } from '../src/index.ts'
import { Names } from '../src/index.ts'

const names = new Names({ vendor: 'Vendor', quote: '"', maxBytes: 20 })

/** What is said of targets when the server answers `rights` about them. */
async function check(targets: readonly string[], rights: (table: TableUse) => Partial<TableRights> = () => ({})) {
  const asked: TableUse[] = []
  const dialect = {
    names,
    rights: async (_: SqlSession, tables: readonly TableUse[]) => {
      asked.push(...tables)
      return tables.map((table) => ({ missing: [], otherKind: false, ...rights(table) }))
    },
  } as unknown as SqlDialect<SqlSession>
  const requests = targets.map((target) => ({ target, mode: 'overwrite' as const }))
  const checks = await checkTargets(dialect, {} as SqlSession, 'main', requests)
  return { checks, asked }
}

describe('checkTargets', () => {
  test('gives one identity to names of one table', async () => {
    const { checks } = await check(['orders', 'main.orders', '"main".orders', 'Orders'])
    expect(checks.map(({ identity }) => identity)).toEqual(['main.orders', 'main.orders', 'main.orders', 'main.Orders'])
  })

  test('tells names that the vendor cannot keep, and asks the server about the others', async () => {
    const { checks, asked } = await check(['a.b.c', 'twenty-one bytes long', 'fine', 'nebula_stage_1', 'nebula_notes'])
    expect(checks.map(({ problems }) => problems.map(({ message }) => message))).toEqual([
      ['The target a.b.c is not a table name: write table or schema.table, and "quotes" around a part with a dot.'],
      ['The target twenty-one bytes long is 21 bytes long; Vendor keeps 20 of a name.'],
      [],
      ['The target main.nebula_stage_1 has a name that Nebula keeps for itself.'],
      [],
    ])
    expect(asked.map(({ table }) => table)).toEqual(['nebula_checkpoints', 'fine', 'nebula_stage_1', 'nebula_notes'])
  })

  test('tells what is missing for the run with its first target, and what is missing for each', async () => {
    const { checks } = await check(['a', 'b'], ({ table }) => ({
      missing: [`CREATE on schema main`, `INSERT on ${table}`],
    }))
    expect(checks.map(({ problems }) => problems.map(({ code, message }) => [code, message]))).toEqual([
      [
        ['permission_denied', 'The user lacks CREATE on schema main.'],
        ['permission_denied', 'The user lacks INSERT on nebula_checkpoints.'],
        ['permission_denied', 'The user lacks INSERT on a.'],
      ],
      [
        ['permission_denied', 'The user lacks CREATE on schema main.'],
        ['permission_denied', 'The user lacks INSERT on b.'],
      ],
    ])
  })

  test('tells what is no table, and not which privileges of a table it would need', async () => {
    const { checks } = await check(['looks'], ({ table }) =>
      table === 'looks' ? { otherKind: true, missing: ['INSERT on looks'] } : {},
    )
    expect(checks[0]?.problems).toEqual([
      { code: 'target_incompatible', message: expect.stringContaining('main.looks is no table') },
    ])
  })
})
