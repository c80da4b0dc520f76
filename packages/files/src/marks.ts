/** Between places that are remembered, at least. */
const MARK_BYTES = 64 * 1024

/** Places of a file that are known, in order; the first is never forgotten. */
export class Marks<Mark extends { readonly offset: number }> {
  readonly #marks: [Mark, ...Mark[]]

  constructor(first: Mark) {
    this.#marks = [first]
  }

  /** The last place that `fits`; the first, where none does. */
  last(fits: (mark: Mark) => boolean): Mark {
    return this.#marks.findLast(fits) ?? this.#marks[0]
  }

  /** Remembers a place, and forgets the one shortly before it. */
  keep(mark: Mark): void {
    const before = this.#marks.findLastIndex(({ offset }) => offset <= mark.offset)
    const isNear = before > 0 && mark.offset - (this.#marks[before] as Mark).offset < MARK_BYTES
    this.#marks.splice(isNear ? before : before + 1, isNear ? 1 : 0, mark)
  }
}
