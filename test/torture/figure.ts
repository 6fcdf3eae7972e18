/** One line of the table: what was tried, how often, and what went wrong, one text for each trial that did. */
export interface Row {
  readonly what: string
  readonly trials: number
  readonly wrong: readonly string[]
}

export interface TortureOptions {
  /** How many trials each row makes, where it has a choice; by default as many as the figure asks for. */
  readonly trials?: number | undefined
  /** How many trials are under way at once. */
  readonly jobs: number
  /** Where random choices begin, so that a run can be repeated. */
  readonly seed: number
  /** Ends the trials early. */
  readonly signal?: AbortSignal | undefined
}

/** A figure of the project's goals, and the rows that show it. */
export interface Figure {
  readonly id: string
  rows(options: TortureOptions): AsyncIterable<Row>
}

/** Random but repeatable: a linear congruential generator (Numerical Recipes, 1,664,525 and 1,013,904,223). */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** `count` of the items, spread evenly over all of them; all when there are no more. */
export const spread = <T>(items: readonly T[], count = items.length): T[] =>
  count >= items.length
    ? [...items]
    : Array.from({length: count}, (_, index) => items[Math.floor(((index + 0.5) * items.length) / count)] as T)

/**
 * Makes a trial of every item, `jobs` at a time, each on a bench of its own that is used again and again. An error of a trial
 * is one of the things that go wrong.
 */
export const tryAll = async <T, B extends AsyncDisposable>(
  items: readonly T[],
  {jobs, bench, signal}: Pick<TortureOptions, 'jobs' | 'signal'> & {readonly bench: () => Promise<B>},
  trial: (item: T, bench: B) => Promise<readonly string[]>,
): Promise<Pick<Row, 'trials' | 'wrong'>> => {
  const wrong: string[] = []
  let trials = 0
  const queue = items.values()
  const work = async (own: {bench?: B | undefined}): Promise<void> => {
    for (const item of queue) {
      if (signal?.aborted) return
      trials += 1
      own.bench ??= await bench()
      const problems = await trial(item, own.bench).catch((error: unknown) => [
        error instanceof Error ? String(error.stack) : String(error),
      ])
      if (problems.length === 0) continue
      wrong.push(problems.join('; '))
      // What this has left of the bench nobody knows.
      await own.bench[Symbol.asyncDispose]()
      own.bench = undefined
    }
  }
  const worker = async (): Promise<void> => {
    const own: {bench?: B | undefined} = {}
    try {
      await work(own)
    } finally {
      await own.bench?.[Symbol.asyncDispose]()
    }
  }
  await Promise.all(Array.from({length: Math.min(jobs, items.length)}, worker))
  return {trials, wrong}
}
