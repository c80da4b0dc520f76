import { createCompressor, FileDestination, FileSource, LocalStore } from '@nebula/files'
import { csvFormat } from '@nebula/formats'
import { defineConnector, register } from '@nebula/runtime'
import { CsvConfig, targetFolder } from './config.ts'

/** CSV files of this computer. */
export const csv = defineConnector<CsvConfig>({
  contract: 1,
  name: 'csv',
  version: '0.1.0',
  config: CsvConfig,
  fromLocator: (path) => ({ path }),
  source: (config) => new FileSource(new LocalStore(), csvFormat(config), config.path),
  destination: (config) => {
    const compressor = createCompressor(config.advanced.compression)
    return new FileDestination(new LocalStore(), csvFormat(config), targetFolder(config), compressor)
  },
})

register(csv)

export { CsvConfig }
