import {readOwnIfExists, writeFileAtomic} from '../../host/files.ts'
import {seal, unseal} from '../../host/sealed.ts'
import {VmctlError, isFailure} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'

/** What is known of one step, written before and after it runs. */
export interface JournalEntry {
  /** Of the step and of the steps that it rests on: a step is done only on top of the very steps that it was run on. */
  readonly hash: string
  readonly type?: string
  readonly title: string
  /** `pending` is still to run; an `interrupted` one was ended by Ctrl+C; what became of an `unknown` one nobody can tell but the user. */
  readonly state: 'pending' | 'running' | 'done' | 'failed' | 'interrupted' | 'unknown'
  /** What the step depended on, hashed, by the words in which a change of it is told. */
  readonly facts?: Readonly<Record<string, string>>
  /** Why a pending step has to run. */
  readonly cause?: string
  /** RFC 3339. */
  readonly startedAt?: string
  readonly endedAt?: string
  readonly durationMs?: number
  readonly exitCode?: number
  /** The boot of the guest on which it ran. */
  readonly bootId?: string
  /** Who logged in for it. */
  readonly user?: string
  readonly message?: string
  /** The layer that the disk of the VM was made on and that has the result of the step, which was run on another VM then. */
  readonly layer?: string
  /** What the provisioner remembered while the step ran. */
  readonly memory?: unknown
}

/** The truth about the provisioning of a VM, stored as `journal.json` beside its disk. */
export interface Journal {
  /** Version 0.1 wrote schema 1: with what `guest.json` says now (`ready`, `setup`). It stays in there until that file has it. */
  readonly schema: 1 | 2
  readonly steps: readonly JournalEntry[]
  /** The VM was started since all steps were seen to be done: what some of them have left in the guest may be gone. */
  readonly restarted?: boolean
  /** Runs that may be left in the guest of steps that are no longer declared; each is ended before anything else runs. */
  readonly removed?: readonly JournalEntry[]
}

export const emptyJournal: Journal = {schema: 2, steps: []}

/**
 * The journal of a VM; an empty one when nothing was ever run.
 * @throws VmctlError `vmctl::vm::record_damaged`: to take the steps of a damaged one for new would run them a second time,
 *   perhaps beside themselves
 */
export const readJournal = async (vmDirectory: string): Promise<Journal> => {
  const path = vmFiles(vmDirectory).journal
  const text = readOwnIfExists(path)
  const journal = text === undefined ? emptyJournal : parseJournal(text)
  if (journal) return journal
  throw new VmctlError('vmctl::vm::record_damaged', `The journal of the provision steps cannot be read: ${path}.`, {
    help: `Nobody knows any more which steps were done. To run all of them again: \`rm ${path}\`, then \`vmctl up\`.`,
    details: {path},
  })
}

/** The same for those who only look, and for verbs that do not care about steps: nothing is told of a damaged one. */
export const peekJournal = (vmDirectory: string): Promise<Journal> =>
  readJournal(vmDirectory).catch((error: unknown) => {
    if (isFailure(error, 'vmctl::vm::record_damaged')) return emptyJournal
    throw error
  })

const parseJournal = (text: string): Journal | undefined => {
  try {
    const value = unseal(text)
    return isJournal(value) ? value : undefined
  } catch {
    return undefined
  }
}

export const writeJournal = (vmDirectory: string, journal: Journal): Promise<void> =>
  writeFileAtomic(vmFiles(vmDirectory).journal, seal(journal))

/** The journal in the hands of who holds the VM's lock: read once, written through. */
export interface JournalKeeper {
  /** As it was read, or as it was last written. */
  readonly journal: Journal
  readonly writeJournal: (next: Journal) => Promise<void>
}

export const openJournal = async (vmDirectory: string): Promise<JournalKeeper> => {
  let journal = await readJournal(vmDirectory)
  return {
    get journal() {
      return journal
    },
    async writeJournal(next) {
      await writeJournal(vmDirectory, next)
      journal = next
    },
  }
}

/** Notes that a VM is about to be started on the disk that it has. */
export const noteStart = async ({journal, writeJournal: write}: JournalKeeper): Promise<void> => {
  if (journal.steps.length > 0 && !journal.restarted) await write({...journal, restarted: true})
}

/** The journal without what one of schema 1 says of the guest. */
export const withoutGuest = (journal: Journal): Journal => {
  const {ready: _ready, setup: _setup, ...steps}: Journal & {readonly ready?: unknown; readonly setup?: unknown} = journal
  return {...steps, schema: 2}
}

/** The journal with one entry replaced. */
export const withEntry = (journal: Journal, index: number, entry: JournalEntry): Journal => ({
  ...journal,
  steps: journal.steps.with(index, entry),
})

const states: readonly JournalEntry['state'][] = ['pending', 'running', 'done', 'failed', 'interrupted', 'unknown']

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const isJournal = (value: unknown): value is Journal =>
  isRecord(value) &&
  (value.schema === 2 ||
    (value.schema === 1 && typeof value.ready === 'boolean' && (value.setup === undefined || isHashes(value.setup)))) &&
  ['boolean', 'undefined'].includes(typeof value.restarted) &&
  Array.isArray(value.steps) &&
  value.steps.every(isEntry) &&
  (value.removed === undefined || (Array.isArray(value.removed) && value.removed.every(isEntry)))

const isHashes = (value: unknown): boolean => isRecord(value) && Object.values(value).every((hash) => typeof hash === 'string')

const kinds = {
  hash: ['string'],
  title: ['string'],
  type: ['string', 'undefined'],
  cause: ['string', 'undefined'],
  startedAt: ['string', 'undefined'],
  endedAt: ['string', 'undefined'],
  durationMs: ['number', 'undefined'],
  exitCode: ['number', 'undefined'],
  bootId: ['string', 'undefined'],
  user: ['string', 'undefined'],
  message: ['string', 'undefined'],
  layer: ['string', 'undefined'],
} as const satisfies Partial<Record<keyof JournalEntry, readonly string[]>>

const isEntry = (value: unknown): value is JournalEntry =>
  isRecord(value) &&
  states.some((state) => state === value.state) &&
  Object.entries(kinds).every(([key, allowed]) => (allowed as readonly string[]).includes(typeof value[key])) &&
  (value.facts === undefined || isHashes(value.facts))
