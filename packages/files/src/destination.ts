import type {
  Acceptance,
  Context,
  DestinationDriver,
  Mode,
  Problem,
  ReadBack,
  Recalled,
  Run,
  Schema,
  StreamPlan,
  StreamRequest,
  TargetCheck,
  TargetInfo,
  TargetRequest,
  Writer,
  WriteTask,
} from '@nebula/core'
import { isNebulaError, NebulaError } from '@nebula/core'
import type { Format } from '@nebula/formats'
import type { FileTarget } from './accept.ts'
import { acceptText } from './accept.ts'
import { compressedExtensions } from './byte-stream.ts'
import type { Compressor } from './compressor.ts'
import { readHead } from './head.ts'
import { publishedFiles, RunFiles } from './run-files.ts'
import { StagedStream } from './staged-stream.ts'
import { StagedWriter } from './staged-writer.ts'
import type { Store } from './store.ts'

/** Bytes of a standing target that are read for its columns. */
const SAMPLE_BYTES = 1024 * 1024
/** What file systems allow. */
const LONGEST_NAME = 255
/** Behind a target's name: a dot, the run's id, the extension. */
const SUFFIX_LENGTH = 20

/** Writes one file per stream into a folder: put together out of sight, moved into place when it is complete. */
export class FileDestination implements DestinationDriver {
  readonly #store: Store
  readonly #format: Format
  readonly #folder: string
  readonly #compressor: Compressor | undefined
  readonly #files = new Map<string, RunFiles>()
  readonly #staged = new Map<string, Promise<StagedStream>>()

  /** Without a compressor, files are as the format has them. */
  constructor(store: Store, format: Format, folder: string, compressor?: Compressor) {
    this.#store = store
    this.#format = format
    this.#folder = folder
    this.#compressor = compressor
  }

  async check(requests: readonly TargetRequest[]): Promise<TargetCheck[]> {
    const { folds } = this.#store
    const writable = (await this.#store.writable?.(this.#folder)) ?? true
    return requests.map(({ target }, i) => {
      const fault = nameFault(target)
      const problems: Problem[] = []
      if (fault !== undefined) problems.push({ code: 'target_incompatible', message: `The target ${fault}.` })
      // Of the run as a whole, so it is told once.
      if (!writable && i === 0)
        problems.push({ code: 'permission_denied', message: `No file can be made in ${this.#folder}.` })
      return { identity: folds ? target.normalize('NFC').toLowerCase() : target, problems }
    })
  }

  async describe(targets: readonly string[], context: Context): Promise<(TargetInfo | undefined)[]> {
    refuseNames(targets)
    const published = await publishedFiles(this.#store, this.#folder)
    const infos: (TargetInfo | undefined)[] = []
    for (const target of targets) infos.push(await this.#find(target, published, context))
    return infos
  }

  /** In append mode, all files that runs may have added, with the one that bears the target's name. */
  readBack(target: string, mode: Mode): ReadBack {
    const name = mode === 'append' ? `${escaped(target)}{,.${RUN_PATTERN}}` : target
    const folder = mode === 'append' ? escaped(this.#folder) : this.#folder
    return { stream: target, path: this.#store.join(folder, `${name}${this.#extension}`) }
  }

  accept(request: StreamRequest, schema: Schema, wire: readonly string[], target?: TargetInfo): Acceptance {
    return acceptText(this.#format, request, schema, { wire, target })
  }

  recall(pipeline: string, _context: Context): Promise<Recalled | undefined> {
    return this.#filesOf(pipeline).recall()
  }

  async prepare(run: Run, _context: Context): Promise<void> {
    refuseNames(run.streams.map(({ target }) => target))
    await this.close()
    await this.#filesOf(run.pipeline).prepare(run)
  }

  async writer(task: WriteTask, context: Context): Promise<Writer> {
    const staged = await this.#stagedStream(task.run, task.stream, context)
    return new StagedWriter(staged, { format: this.#format, compressor: this.#compressor }, task, context)
  }

  async finish(run: Run, streams: readonly string[], context: Context): Promise<void> {
    const files = this.#filesOf(run.pipeline)
    const finished = await files.finished()
    const plans = plansOf(run, streams).filter(({ request }) => !finished.includes(request.stream))
    for (const plan of plans) {
      const staged = await this.#stagedStream(run, plan, context)
      this.#staged.delete(keyOf(run, plan))
      await staged.complete()
    }
    if (plans.length > 0) await files.publish(run, plans)
  }

  async discard(run: Run, streams: readonly string[], _context: Context): Promise<void> {
    const plans = plansOf(run, streams)
    for (const plan of plans) {
      const staged = this.#staged.get(keyOf(run, plan))
      this.#staged.delete(keyOf(run, plan))
      await (await staged)?.close()
    }
    await this.#filesOf(run.pipeline).discard(run, plans)
  }

  async end(run: Run, _context: Context): Promise<void> {
    await this.#filesOf(run.pipeline).end(run)
  }

  async close(): Promise<void> {
    const open = [...this.#staged.values()]
    this.#staged.clear()
    await Promise.allSettled(open.map(async (staged) => (await staged).close()))
  }

  get #plainExtension(): string {
    return this.#format.extensions[0] ?? ''
  }

  get #extension(): string {
    return `${this.#plainExtension}${this.#compressor?.extension ?? ''}`
  }

  /** The file of a target; else the one that another compression made of it. */
  async #find(
    target: string,
    published: ReadonlyMap<string, string>,
    context: Context,
  ): Promise<FileTarget | undefined> {
    const own = `${target}${this.#extension}`
    const others = ['', ...compressedExtensions].map((packed) => `${target}${this.#plainExtension}${packed}`)
    const names = [own, ...others.filter((name) => name !== own)]
    const standing: { name: string; info: TargetInfo }[] = []
    for (const name of names) {
      const info = await this.#describe(this.#store.join(this.#folder, name), published.get(name), context)
      if (info) standing.push({ name, info })
    }
    const beside = standing.find(({ name }) => name !== own)
    const found = standing[0]?.info ?? (await this.#findAdded(target, published, context))
    return found && { ...found, ...(beside ? { beside: { name: beside.name, own } } : {}) }
  }

  /** A file that a run has added to a target which has none of its own: whoever reads the folder, reads them as one. */
  async #findAdded(
    target: string,
    published: ReadonlyMap<string, string>,
    context: Context,
  ): Promise<TargetInfo | undefined> {
    for (const [name, etag] of published) {
      if (!name.startsWith(`${target}.`) || !ADDED.test(name.slice(target.length))) continue
      const info = await this.#describe(this.#store.join(this.#folder, name), etag, context)
      if (info) return { ...info, foreignRows: false }
    }
    return undefined
  }

  async #describe(path: string, published: string | undefined, context: Context): Promise<TargetInfo | undefined> {
    const stored = await this.#store.stat(path)
    if (!stored) return undefined
    const file = await this.#store.open(path)
    try {
      const { bytes, complete, preamble } = await readHead(file, path, this.#format, SAMPLE_BYTES)
      const inference = this.#format.inference(preamble.names, context.pool)
      inference.observe(bytes, complete, preamble)
      const schema: Schema = { fields: inference.fields }
      inference.free()
      const empty = complete && bytes.length <= preamble.size
      return { schema, foreignRows: !empty && stored.etag !== published }
    } catch (error) {
      // What cannot be read is not ours; it stands in the way like any other file.
      if (isNebulaError(error, 'data_invalid')) return { schema: { fields: [] }, foreignRows: true }
      throw error
    } finally {
      await file.close()
    }
  }

  #filesOf(pipeline: string): RunFiles {
    const known = this.#files.get(pipeline)
    if (known) return known
    const files = new RunFiles(this.#store, this.#folder, pipeline, this.#extension)
    this.#files.set(pipeline, files)
    return files
  }

  /** Opened once, by the first task of the stream. */
  #stagedStream(run: Run, plan: StreamPlan, context: Context): Promise<StagedStream> {
    const key = keyOf(run, plan)
    const known = this.#staged.get(key)
    if (known) return known
    const opening = this.#openStaged(run, plan, context)
    this.#staged.set(key, opening)
    opening.catch(() => this.#staged.delete(key))
    return opening
  }

  async #openStaged(run: Run, plan: StreamPlan, { pool }: Context): Promise<StagedStream> {
    const files = this.#filesOf(run.pipeline)
    await files.check(run)
    const writer = this.#format.writer(plan.schema, pool)
    const preamble = (await this.#compressor?.pack(writer.preamble)) ?? writer.preamble
    writer.free()
    const file = await this.#store.stage(files.stagedPath(run, plan))
    try {
      return await StagedStream.open({ run, plan, files }, file, preamble)
    } catch (error) {
      await file.close()
      throw error
    }
  }
}

/** A run's id: eight hexadecimal digits. */
const RUN_PATTERN = '[0-9a-f]'.repeat(8)
/** What stands behind a target's name in that of a file that a run added. */
const ADDED = new RegExp(`^\\.${RUN_PATTERN}\\.`)

/** A path as a pattern that matches only it. */
function escaped(path: string): string {
  return path.replace(/[\\*?[\]{}()!+@]/g, '\\$&')
}

function keyOf(run: Run, { request, generation }: StreamPlan): string {
  return JSON.stringify([run.id, run.epoch, request.stream, generation])
}

function plansOf(run: Run, streams: readonly string[]): StreamPlan[] {
  return run.streams.filter(({ request }) => streams.includes(request.stream))
}

/** Throws `config_invalid` for targets that are no file names, all of them at once. */
function refuseNames(targets: readonly string[]): void {
  const problems = targets.flatMap((target) => nameFault(target) ?? [])
  if (problems.length === 0) return
  throw new NebulaError('config_invalid', {
    message: `These targets are no names of files: ${problems.join('; ')}.`,
    fix: 'Give the streams another target.',
  })
}

/** Why a target is no file name; undefined when it is one. */
function nameFault(target: string): string | undefined {
  if (/[/\0]/.test(target)) return `"${target.replaceAll('\0', '\\0')}" holds a slash or a NUL`
  if (target.startsWith('.') || target === '') return `"${target}" is empty or begins with a dot`
  const tooLong = Buffer.byteLength(target) > LONGEST_NAME - SUFFIX_LENGTH
  return tooLong ? `"${target}" is longer than ${LONGEST_NAME - SUFFIX_LENGTH} bytes` : undefined
}
