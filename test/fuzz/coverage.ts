import {Session} from 'node:inspector'

/** Tells which code of `src/` ran. */
export interface CoverageWatch extends Disposable {
  /** The blocks that ran since the last call. */
  take(): ReadonlySet<string>
}

interface Range {
  readonly startOffset: number
  readonly count: number
}

interface Coverage {
  readonly result: readonly {readonly url: string; readonly functions: readonly {readonly ranges: readonly Range[]}[]}[]
}

/** V8's block coverage (the Profiler domain of the inspector protocol) of this thread. */
export const watchCoverage = (): CoverageWatch => {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.startPreciseCoverage', {callCount: true, detailed: true})
  return {
    take() {
      const blocks = new Set<string>()
      // The answer is there before `post` returns.
      session.post('Profiler.takePreciseCoverage', (_error, answer) => {
        for (const {url, functions} of (answer as Coverage).result) {
          if (!url.includes('/src/')) continue
          const ran = functions.flatMap(({ranges}) => ranges).filter(({count}) => count > 0)
          for (const {startOffset} of ran) blocks.add(`${url}:${startOffset}`)
        }
      })
      return blocks
    },
    [Symbol.dispose]: () => session.disconnect(),
  }
}
