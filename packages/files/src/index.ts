export { FileDestination } from './destination.ts'
export { LocalStore } from './local-store.ts'
export { FileSource } from './source.ts'
export type { OpenFile, StagedFile, Store, StoredFile } from './store.ts'
