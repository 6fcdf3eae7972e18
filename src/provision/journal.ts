import {createHash} from 'node:crypto'

import {readIfExists, writeFileAtomic} from '../host/files.ts'
import {vmFiles} from '../model/layout.ts'

/** What is known of one step, written before and after it runs. */
export interface JournalEntry {
  /** Of the step and of all steps before it: a step is done only on top of the very steps that it was run on. */
  readonly hash: string
  readonly title: string
  readonly state: 'running' | 'done' | 'failed'
  readonly startedAt: string
  readonly endedAt?: string
  readonly exitCode?: number
  readonly message?: string
  /** What the provisioner remembered while the step ran. */
  readonly memory?: unknown
}

/** The truth about the provisioning of a VM, stored as `journal.json` beside its disk. */
export interface Journal {
  readonly schema: 1
  /** Whether the guest was seen ready (SSH answers, cloud-init has finished well) since it was made. */
  readonly ready: boolean
  readonly steps: readonly JournalEntry[]
}

export const emptyJournal: Journal = {schema: 1, ready: false, steps: []}

/** The journal of a VM. A file that is missing or damaged means that nothing is known to be done. */
export const readJournal = async (vmDirectory: string): Promise<Journal> => {
  try {
    const value: unknown = JSON.parse((await readIfExists(vmFiles(vmDirectory).journal)) ?? 'null')
    return isJournal(value) ? value : emptyJournal
  } catch {
    return emptyJournal
  }
}

export const writeJournal = (vmDirectory: string, journal: Journal): Promise<void> =>
  writeFileAtomic(vmFiles(vmDirectory).journal, `${JSON.stringify(journal, undefined, 2)}\n`)

const isJournal = (value: unknown): value is Journal =>
  typeof value === 'object' &&
  value !== null &&
  'schema' in value &&
  value.schema === 1 &&
  'ready' in value &&
  typeof value.ready === 'boolean' &&
  'steps' in value &&
  Array.isArray(value.steps) &&
  value.steps.every(
    (step: unknown) =>
      typeof step === 'object' &&
      step !== null &&
      'hash' in step &&
      typeof step.hash === 'string' &&
      'state' in step &&
      ['running', 'done', 'failed'].includes(String(step.state)),
  )

/** Hashes of steps from their fingerprints, each chained to the ones before it. */
export const chainHashes = (fingerprints: readonly string[]): string[] => {
  let previous = ''
  return fingerprints.map((fingerprint) => {
    previous = createHash('sha256').update(`${previous}\n${fingerprint}`).digest('hex')
    return previous
  })
}

/** Why provisioning has to go on, and from which step (counted from 0). */
export interface Remaining {
  readonly from: number
  /** `never run`, `failed`, `never finished`, `changed`. */
  readonly cause: string
}

/** The first step that is not known to be done as it is written now; undefined when all are. */
export const remainingSteps = (journal: Journal, hashes: readonly string[]): Remaining | undefined => {
  for (const [index, hash] of hashes.entries()) {
    const entry = journal.steps[index]
    if (!entry) return {from: index, cause: 'never run'}
    if (entry.hash !== hash) return {from: index, cause: 'changed'}
    if (entry.state === 'running') return {from: index, cause: 'never finished'}
    if (entry.state === 'failed') return {from: index, cause: 'failed'}
  }
  return undefined
}
