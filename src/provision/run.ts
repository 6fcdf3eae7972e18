import {isVmctlError, messageOf, VmctlError} from '../model/errors.ts'
import {vmFiles} from '../model/layout.ts'
import {stripControls} from '../model/strip.ts'
import type {ProvisionStep, Vm} from '../model/vm.ts'
import {chainHashes, type Journal, type JournalEntry, readJournal, writeJournal} from './journal.ts'
import {openProvisionLog, type ProvisionLog} from './log.ts'
import type {Guest, Provisioner} from './provisioner.ts'

/** A declared step together with the provisioner that understands it and with the settings as that one parsed them. */
export interface PreparedStep {
  readonly provisioner: Provisioner
  readonly settings: unknown
  /** Short description, controls stripped. */
  readonly title: string
  readonly hash: string
}

export type ProvisionEvent =
  | {readonly type: 'provision.step'; readonly step: number; readonly total: number; readonly title: string; readonly resumed: boolean}
  | {readonly type: 'provision.output'; readonly step: number; readonly stream: 'stdout' | 'stderr'; readonly chunk: Uint8Array}
  | {readonly type: 'provision.done'; readonly step: number; readonly durationMs: number}

/** Finds the provisioner of every step and computes the hashes by which the journal knows them. Reads local files. */
export const prepareSteps = async (
  steps: readonly ProvisionStep[],
  provisioners: ReadonlyMap<string, Provisioner>,
): Promise<PreparedStep[]> => {
  const parsed = steps.map((step, index) => {
    const provisioner = provisioners.get(step.type)
    if (!provisioner) {
      throw new VmctlError(
        'vmctl::plugin::invalid',
        `Step ${index + 1} has the type ${JSON.stringify(step.type)}, which nothing provides.`,
        {
          help: 'Install the plugin that brings this provisioner: `vmctl plugins`.',
        },
      )
    }
    const settings = provisioner.parse(step.settings)
    return {step, provisioner, settings, title: stripControls(provisioner.describe(settings))}
  })
  const fingerprints = await Promise.all(parsed.map(({provisioner, settings, step}) => provisioner.fingerprint(settings, step)))
  const hashes = chainHashes(fingerprints)
  return parsed.map(({provisioner, settings, title}, index) => ({provisioner, settings, title, hash: hashes[index] ?? ''}))
}

export interface RunOptions {
  /** The first step to run, counted from 0; the ones before it are done. */
  readonly from: number
  readonly guest: () => Promise<Guest>
  /** Resolves when the receiver is ready for more. */
  readonly onEvent: (event: ProvisionEvent) => void | Promise<void>
  readonly signal: AbortSignal
}

/**
 * Runs steps in order and stops at the first that does not succeed. What is known of each step is written to the journal
 * before and after it, and its output to provision.log while it runs.
 * @throws VmctlError of the step, with its number and its last lines
 */
export const runSteps = async (vm: Vm, steps: readonly PreparedStep[], options: RunOptions): Promise<void> => {
  await using log = await openProvisionLog(vmFiles(vm.directory).provisionLog)
  const afterwards: (() => Promise<void>)[] = []
  try {
    for (const [index, step] of steps.entries()) {
      if (index < options.from) continue
      await runStep(vm, {step, index, total: steps.length, log, afterwards}, options)
    }
  } finally {
    await Promise.allSettled(afterwards.map((action) => action()))
  }
}

interface Turn {
  readonly step: PreparedStep
  readonly index: number
  readonly total: number
  readonly log: ProvisionLog
  readonly afterwards: (() => Promise<void>)[]
}

const runStep = async (vm: Vm, {step, index, total, log, afterwards}: Turn, options: RunOptions): Promise<void> => {
  const number = index + 1
  const journal = await readJournal(vm.directory)
  const earlier = journal.steps[index]
  const resumed = earlier?.state === 'running' && earlier.hash === step.hash ? earlier.memory : undefined
  const started = Date.now()
  let entry: JournalEntry = {
    hash: step.hash,
    title: step.title,
    state: 'running',
    startedAt: resumed === undefined ? new Date(started).toISOString() : (earlier?.startedAt ?? ''),
    ...(resumed !== undefined && {memory: resumed}),
  }
  const record = (change: Partial<JournalEntry>): Promise<void> => {
    entry = {...entry, ...change}
    return writeJournal(vm.directory, withEntry(journal, index, entry))
  }
  await record({})
  await log.append(`=== Step ${number}: ${step.title}${resumed === undefined ? '' : ' (continued)'} ===\n`)
  log.mark()
  await options.onEvent({type: 'provision.step', step: number, total, title: step.title, resumed: resumed !== undefined})
  try {
    await step.provisioner.run(step.settings, {
      vm,
      step: number,
      guest: options.guest,
      memory: resumed,
      remember: (memory) => record({memory}),
      output: async (stream, chunk) => {
        // Terminal and log at the same time; the slower one sets the pace.
        await Promise.all([log.append(chunk), options.onEvent({type: 'provision.output', step: number, stream, chunk})])
      },
      afterwards: (action) => void afterwards.push(action),
      signal: options.signal,
    })
  } catch (error) {
    if (!leavesStepRunning(error)) await record(failureOf(error))
    await log.append(`=== Step ${number} ${options.signal.aborted ? 'was interrupted' : `failed: ${messageOf(error)}`} ===\n`)
    throw explain(error, {vm, number, step, log})
  }
  const {memory: _memory, ...done} = entry
  entry = done
  await record({state: 'done', endedAt: new Date().toISOString(), exitCode: 0})
  await options.onEvent({type: 'provision.done', step: number, durationMs: Date.now() - started})
}

/** The journal with one entry replaced; later entries rest on a step that runs anew, so they are dropped. */
const withEntry = (journal: Journal, index: number, entry: JournalEntry): Journal => ({
  ...journal,
  steps: [...journal.steps.slice(0, index), entry],
})

/** A job goes on when only the connection is lost; its fate stays open. */
const leavesStepRunning = (error: unknown): boolean =>
  isVmctlError(error) &&
  ['vmctl::ssh::connection_lost', 'vmctl::ssh::unreachable', 'vmctl::ssh::host_key_mismatch', 'vmctl::provision::unknown_outcome'].includes(
    error.code,
  )

const failureOf = (error: unknown): Partial<JournalEntry> => ({
  state: 'failed',
  endedAt: new Date().toISOString(),
  message: messageOf(error),
  ...(isVmctlError(error) && typeof error.details.exitCode === 'number' && {exitCode: error.details.exitCode}),
})

const explain = (error: unknown, {vm, number, step, log}: {vm: Vm; number: number; step: PreparedStep; log: ProvisionLog}): unknown => {
  if (!isVmctlError(error)) return error
  const last = stripControls(log.tail(10))
    .split('\n')
    .filter((line) => !line.startsWith('=== Step '))
  // Most messages say which step they are about; here its title belongs to it.
  const said = error.message.replace(/^Step \d+ /, '')
  return new VmctlError(
    error.code,
    `${vm.name}: step ${number} (${step.title})${said === error.message ? ':' : ''} ${said}${last.length > 0 ? `\nLast lines:\n  ${last.join('\n  ')}` : ''}`,
    {
      help: error.help.replaceAll('NAME', vm.name),
      cause: error.cause,
      details: {...error.details, vm: vm.name, step: number},
    },
  )
}
