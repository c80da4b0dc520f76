import type { z } from 'zod'
import type { BaseConfig } from './config.ts'
import type { DestinationDriver, SourceDriver } from './contract.ts'

/**
 * A connector: a value that its package exports and registers. `config` extends `BaseConfig`. The factories construct
 * and never connect.
 */
export interface Connector<Config extends BaseConfig = BaseConfig> {
  /** The version of this contract that it was written for. */
  readonly contract: 1
  readonly name: string
  readonly version: string
  readonly config: z.ZodType<Config>
  /** The configuration that the text behind `--from` or `--to` stands for. */
  readonly fromLocator?: (locator: string) => { [key: string]: unknown }
  readonly source?: (config: Config) => SourceDriver
  readonly destination?: (config: Config) => DestinationDriver
}
