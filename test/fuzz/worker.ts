import {parentPort, workerData} from 'node:worker_threads'

import {watchCoverage} from './coverage.ts'
import {mutate, type Mutator} from './mutate.ts'
import {createRandom} from './random.ts'
import {maxBytesOf, readCorpus} from './target.ts'
import {targets} from './targets.ts'

/** What a worker is started with. */
export interface Job {
  readonly target: string
  readonly seed: number
  /** Ends after this many inputs or milliseconds, whichever comes first. */
  readonly runs: number
  readonly milliseconds: number
  /** Only this input, instead of random ones. */
  readonly replay?: Uint8Array
  /** The input that is being tried: its number and length, then its bytes. The main thread watches it. */
  readonly current: SharedArrayBuffer
}

/** How a worker ended. */
export interface Outcome {
  readonly tried: number
  /** What was thrown, for the input that was being tried. */
  readonly failure?: string
}

/** How long inputs are tried before one look at the coverage, which costs milliseconds. */
const batchMs = 100

const {target: name, seed, runs, milliseconds, replay, current} = workerData as Job
const target = targets[name]
if (!target) throw new Error(`There is no target ${name}.`)
const [progress, content] = [new Int32Array(current, 0, 2), new Uint8Array(current, 8)]
const trial = await target.open()
const corpus = readCorpus(name, target)
let tried = 0

const attempt = async (input: Buffer): Promise<void> => {
  content.set(input.subarray(0, content.length))
  progress[1] = input.length
  Atomics.store(progress, 0, tried)
  tried += 1
  // A fresh copy: no target can change the corpus.
  await trial.try(Buffer.from(input))
}

/** Tries mutated samples. An input that reaches code that none had reached before becomes a sample too. */
const fuzz = async (): Promise<void> => {
  using coverage = watchCoverage()
  for (const sample of corpus) await attempt(sample)
  const seen = new Set(coverage.take())
  const dictionary = (target.dictionary ?? []).map((word) => Buffer.from(word))
  const mutator: Mutator = {random: createRandom(seed), corpus, dictionary, maxBytes: maxBytesOf(target), json: target.json ?? false}
  const deadline = performance.now() + milliseconds
  const isOver = (): boolean => tried >= runs || performance.now() >= deadline
  /** Finds the inputs that reach new code by trying halves again. */
  const adopt = async (inputs: readonly Buffer[]): Promise<void> => {
    for (const input of inputs) await attempt(input)
    const news = coverage.take().difference(seen)
    const [only] = inputs
    if (news.size === 0 || only === undefined) return
    if (inputs.length > 1) {
      await adopt(inputs.slice(0, inputs.length / 2))
      await adopt(inputs.slice(inputs.length / 2))
    } else if (only.length > 0) corpus.push(only)
    for (const block of news) seen.add(block)
  }
  while (!isOver()) {
    const batch: Buffer[] = []
    const full = performance.now() + batchMs
    while (performance.now() < full && !isOver()) {
      const input = mutate(mutator.random.pick(corpus), mutator)
      batch.push(input)
      await attempt(input)
    }
    if (coverage.take().difference(seen).size > 0) await adopt(batch)
  }
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- The port of a thread is no window and has no origin.
const report = (result: Outcome): void => parentPort?.postMessage(result)

try {
  // The first try loads modules, which takes its time.
  await attempt(corpus[0] ?? Buffer.alloc(0))
  await (replay ? attempt(Buffer.from(replay)) : fuzz())
  await trial[Symbol.asyncDispose]()
  report({tried})
} catch (error) {
  report({tried, failure: error instanceof Error ? (error.stack ?? error.message) : String(error)})
}
