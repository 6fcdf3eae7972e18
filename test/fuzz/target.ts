import {strict as assert} from 'node:assert'
import {readdirSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {type Failure, type FailureCode, isFailure, isVmctlError} from '../../src/model/errors.ts'

/** Code of vmctl that reads what somebody else has written, and what must hold whatever that is. */
export interface Target {
  /** What it reads, in a few words. */
  readonly about: string
  /** Words of the format that random bytes would hardly hit. */
  readonly dictionary?: readonly string[]
  /** Inputs are JSON documents. */
  readonly json?: boolean
  /** Directories of the repository that hold samples besides those of `corpus/`. */
  readonly samples?: readonly string[]
  /** Longest input; 8 KiB when absent. */
  readonly maxBytes?: number
  /** Makes what all tries share: directories, servers. */
  open(): Promise<Trial> | Trial
}

export interface Trial extends AsyncDisposable {
  /** Feeds one input; throws when anything but what is promised comes of it. */
  try(input: Buffer): Promise<void> | void
}

export const maxBytesOf = ({maxBytes = 8192}: Target): number => maxBytes

/** A trial that needs nothing. */
export const pureTrial = (attempt: Trial['try']): Trial => ({try: attempt, [Symbol.asyncDispose]: async () => undefined})

/** The result of an action, or undefined when it failed in one of the ways that it announces. Any other failure is a defect. */
export const resultOrFailure = async <T>(
  kinds: readonly (FailureCode | Failure)[],
  action: () => Promise<T> | T,
): Promise<T | undefined> => {
  try {
    return await action()
  } catch (error) {
    if (!isVmctlError(error)) throw error
    assert.ok(isFailure(error, ...kinds), `unexpected code ${error.code}: ${error.message}`)
    assert.ok(error.message.length > 0 && error.help.length > 0, `no words for ${error.code}`)
    return undefined
  }
}

const repository = join(import.meta.dirname, '../..')

/** The samples of a target: `corpus/NAME/*` and those of its other directories, in the order of their names. */
export const readCorpus = (name: string, {samples = []}: Target): Buffer[] => {
  const corpus = [join('test/fuzz/corpus', name), ...samples].flatMap((directory) =>
    readdirSync(join(repository, directory))
      .toSorted()
      .map((file) => readFileSync(join(repository, directory, file))),
  )
  assert.ok(corpus.length > 0, `there is no sample of ${name}`)
  return corpus
}
