import type { RecordBatch, Rejection } from '@nebula/core'
import type { SqlSession } from './session.ts'

/** A bulk load of one task, through one session at a time. What it throws may be the driver's own errors. */
export interface Loader<Session extends SqlSession> {
  /** Sends rows `from` to `to`; may resolve before the server has judged them, but not before their memory is free. */
  load(session: Session, batch: RecordBatch, from: number, to: number): Promise<void>
  /** Resolves when the server has taken every row that was sent. */
  end(): Promise<void>
  /** After an error: what was under way is over. True when the session must be destroyed to make it so. */
  reset(): boolean
  /** Gives scratch memory back. */
  free(): void
  /** The row that a refusal of rows `from` to `to` names; undefined when it names none of them. */
  refusedRow(error: unknown, from: number, to: number): number | undefined
  /** Column, code and reason of a refusal, without values. */
  rejection(error: unknown): Pick<Rejection, 'column' | 'code' | 'reason'>
}
