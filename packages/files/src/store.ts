/** A file of a store as it stands now. */
export interface StoredFile {
  /** As the store's other methods take it, and as people read it. */
  readonly path: string
  readonly size: number
  /** Differs whenever the content may differ. */
  readonly etag: string
}

/** A file that is read. */
export interface OpenFile {
  /** As it stands now: an etag that differs from that at the begin tells of a change. */
  stat(): Promise<StoredFile>
  /** Reads from `position` into `buffer`; returns how many bytes, 0 behind the end. */
  read(buffer: Uint8Array, position: number): Promise<number>
  close(): Promise<void>
}

/** A file that is put together out of the readers' sight. */
export interface StagedFile {
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Cuts off what lies behind `length`. */
  truncate(length: number): Promise<void>
  /** What was written is durable once this resolves. */
  sync(): Promise<void>
  stat(): Promise<StoredFile>
  close(): Promise<void>
}

/**
 * Where files are: the port of the file source and destination. Paths are the store's own; errors are `file_not_found`,
 * `file_failed`, `disk_full`, with the path.
 */
export interface Store {
  /**
   * The files that a pattern names, by name: a file; of a folder, those with one of the extensions; or those that match
   * a glob. Undefined: nothing is there.
   */
  list(pattern: string, extensions: readonly string[]): Promise<StoredFile[] | undefined>
  stat(path: string): Promise<StoredFile | undefined>
  open(path: string): Promise<OpenFile>
  /** For places of rows, which are asked for rarely and at once; left out: not possible. */
  readSync?(path: string, buffer: Uint8Array, position: number): number

  /** The path of a file in a folder. */
  join(folder: string, ...names: string[]): string
  /** Names that differ only in case or composition are one file here. Left out: they are not. */
  readonly folds?: boolean
  /** Whether files can be made in a folder, or the folder itself. Left out: it is not known before it is tried. */
  writable?(folder: string): Promise<boolean>
  makeFolder(path: string): Promise<void>
  /** The names of files in a folder; none when it does not exist. */
  names(folder: string): Promise<string[]>
  /** Opens a file to be written, with the content that it has; creates it when it is missing. */
  stage(path: string): Promise<StagedFile>
  /** Moves complete files to where readers find them, each at once, and makes that durable. */
  publish(moves: readonly { readonly from: string; readonly to: string }[]): Promise<void>
  /** Removes a file; a missing one is no error. */
  remove(path: string): Promise<void>
  /** Removes a folder, unless there is something in it. */
  removeFolder(path: string): Promise<void>
  /** Undefined when there is no such file. */
  readJson(path: string): Promise<unknown>
  /** Replaces a file at once and durably. */
  writeJson(path: string, value: unknown): Promise<void>
}
