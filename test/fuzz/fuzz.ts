import {createHash} from 'node:crypto'
import {mkdirSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {Worker} from 'node:worker_threads'

import {maxBytesOf, type Target} from './target.ts'
import {targets} from './targets.ts'
import type {Job, Outcome} from './worker.ts'

/** Milliseconds of work and of waiting that one input may take, the first of which loads modules; bytes for everything. */
const limits = {loadMs: 60_000, cpuMs: 1000, waitMs: 10_000, rssBytes: 2 * 2 ** 30, heapMb: 512} as const

export interface FuzzOptions {
  readonly seed: number
  readonly runs?: number
  readonly seconds?: number
  /** Only this input. */
  readonly replay?: Buffer
}

export interface FuzzResult {
  readonly tried: number
  readonly defect?: Defect
}

/** An input that makes vmctl do what it must not. */
export interface Defect {
  readonly what: string
  readonly input: Buffer
}

/**
 * Tries random inputs on a target, in a thread of its own, until the time is up or one of them shows a defect: something is
 * thrown that was not announced, more than a second goes by, or memory runs out.
 */
export const fuzzTarget = async (name: string, options: FuzzOptions): Promise<FuzzResult> => {
  const target = targets[name]
  if (!target) throw new RangeError(`There is no target ${name}.`)
  for (let suspicions = 0; ; suspicions++) {
    const result = await runWorker(name, target, options)
    if (result.defect?.what !== hang || options.replay) return result
    // A busy computer makes anything slow; what hangs does so again.
    const again = await runWorker(name, target, {...options, replay: result.defect.input})
    if (again.defect || suspicions === 3) return again.defect ? {...result, defect: again.defect} : result
  }
}

const hang = `it was not done within ${limits.cpuMs} ms of work or ${limits.waitMs} ms of waiting`

const runWorker = async (name: string, target: Target, {seed, runs, seconds, replay}: FuzzOptions): Promise<FuzzResult> => {
  const current = new SharedArrayBuffer(8 + maxBytesOf(target))
  const job: Job = {
    target: name,
    seed,
    runs: runs ?? Infinity,
    milliseconds: (seconds ?? Infinity) * 1000,
    current,
    ...(replay && {replay}),
  }
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: job,
    resourceLimits: {maxOldGenerationSizeMb: limits.heapMb},
    stderr: false,
  })
  const progress = new Int32Array(current, 0, 2)
  const inputNow = (): Buffer => Buffer.from(new Uint8Array(current, 8, Math.min(progress[1] ?? 0, maxBytesOf(target))).slice())
  const ended = Promise.withResolvers<FuzzResult>()
  const fail = (what: string): void => ended.resolve({tried: Atomics.load(progress, 0), defect: {what, input: inputNow()}})
  worker.on('message', ({tried, failure}: Outcome) => (failure === undefined ? ended.resolve({tried}) : fail(failure)))
  worker.on('error', (error: unknown) => fail(error instanceof Error ? (error.stack ?? error.message) : String(error)))
  worker.on('exit', () => fail('the process was ended'))
  const over = new AbortController()
  void watch(progress, over.signal, fail)
  const result = await ended.promise
  over.abort()
  await worker.terminate()
  return result
}

/** Says when one input takes too long, or too much memory. */
const watch = async (progress: Int32Array, signal: AbortSignal, fail: (what: string) => void): Promise<void> => {
  // The time of the computer says little when others are at work on it, too.
  const cpuMs = (): number => (process.cpuUsage().user + process.cpuUsage().system) / 1000
  let [last, since, cpuSince] = [0, performance.now(), cpuMs()]
  while (!signal.aborted) {
    await sleep(100, undefined, {signal}).catch(() => undefined)
    const now = Atomics.load(progress, 0)
    const isLoading = now === 0
    const waitMs = performance.now() - since
    if (now !== last) [last, since, cpuSince] = [now, performance.now(), cpuMs()]
    else if (waitMs > (isLoading ? limits.loadMs : limits.waitMs) || (!isLoading && cpuMs() - cpuSince > limits.cpuMs)) fail(hang)
    const bytes = process.memoryUsage.rss()
    if (bytes > limits.rssBytes) fail(`memory has grown to ${bytes} bytes`)
  }
}

/** Keeps the input of a defect. Returns the path. */
export const saveInput = (directory: string, name: string, {input}: Defect): string => {
  mkdirSync(directory, {recursive: true})
  const path = join(directory, `${name}-${createHash('sha256').update(input).digest('hex').slice(0, 12)}`)
  writeFileSync(path, input)
  return path
}
