import {isDeepStrictEqual} from 'node:util'

import {isVmctlError, messageOf, VmctlError, isFailure, factsOf} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {stripControls} from '../../model/strip.ts'
import type {Vm} from '../../model/vm.ts'
import {decideSteps, isActive, openFollowers, openSteps, pendingEntry, type StepVerdict} from './decide.ts'
import type {PreparedStep} from './declare.ts'
import {type JournalEntry, type JournalKeeper, openJournal, withEntry} from './journal.ts'
import {openProvisionLog, type ProvisionLog} from '../log/log.ts'
import type {Guest, Provisioner} from '../provisioner.ts'
import {type Actions, openTidying} from './tidying.ts'

export type ProvisionEvent =
  | {readonly type: 'provision.step'; readonly step: number; readonly total: number; readonly title: string; readonly resumed: boolean}
  | {readonly type: 'provision.output'; readonly step: number; readonly stream: 'stdout' | 'stderr'; readonly chunk: Uint8Array}
  | {readonly type: 'provision.done'; readonly step: number; readonly durationMs: number}
  /** The result of a step that was done is still in the guest. */
  | {readonly type: 'provision.intact'; readonly step: number; readonly total: number; readonly title: string}
  /** What was left of an earlier run of a step was ended: the step runs anew or, without a number, is no longer declared. */
  | {readonly type: 'provision.abandoned'; readonly step?: number; readonly title: string}

export interface RunOptions {
  /** By type, for runs that are left of steps that are no longer declared. */
  readonly provisioners: ReadonlyMap<string, Provisioner>
  /** One for each step; by default what the journal says is not done is run. */
  readonly verdicts?: readonly StepVerdict[]
  /** From who has read it; the one in the VM's directory is read when absent. */
  readonly journal?: JournalKeeper
  readonly guest: () => Promise<Guest>
  /** Who logs in, for the record. */
  readonly user?: string
  /** Finds out why the guest has restarted while a step ran, in its own words. */
  readonly whyRestarted?: () => Promise<string | undefined>
  /** Called when a step is done, on record and tidied up after, before the next one begins. Counted from 1. */
  readonly onDone?: ((step: number) => Promise<void>) | undefined
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
  const {keeper, verdicts} = await openRun(vm, steps, options)
  const files = vmFiles(vm.directory)
  await using log = await openProvisionLog({log: files.provisionLog, index: files.provisionIndex})
  const tidying = openTidying()
  const tidy = tidying.now
  try {
    const turns = steps.map((step, index): Turn => ({step, index, total: steps.length, keeper, log, tidy}))
    // Before anything else runs, so that no two steps are under way in the guest at once.
    await abandonRemoved(vm, {keeper, log, tidy}, options)
    for (const turn of turns) if (verdicts[turn.index]?.verdict === 'rerun') await abandonStep(turn, options)
    let hasRun = false
    const active = turns.filter(({index}) => verdicts[index] !== undefined && isActive(verdicts[index]))
    for (const [position, turn] of active.entries()) {
      const isChecked = verdicts[turn.index]?.verdict === 'check'
      if (isChecked && (turn.step.follows ? !hasRun : await isIntact(turn, options))) continue
      if (isChecked) await keeper.writeJournal(openFollowers(keeper.journal, steps, verdicts))
      const afterwards = await runStep(vm, turn, options)
      hasRun = true
      const settles = options.onDone !== undefined
      await tidying.after(turn.step, afterwards, {next: active[position + 1], verdicts, journal: keeper.journal, settles})
      await options.onDone?.(turn.index + 1)
    }
    await closeStart(keeper, steps, verdicts)
  } finally {
    await tidying.end()
  }
}

/** Puts on record what is going to run. */
const openRun = async (vm: Vm, steps: readonly PreparedStep[], options: RunOptions) => {
  const keeper = options.journal ?? (await openJournal(vm.directory))
  const verdicts = options.verdicts ?? decideSteps(keeper.journal, steps, {restarted: false})
  requireDecisions(vm, verdicts)
  const opened = openSteps(keeper.journal, steps, verdicts)
  // Whoever started the VM has written it before.
  if (!isDeepStrictEqual(opened, keeper.journal)) await keeper.writeJournal(opened)
  return {keeper, verdicts}
}

/** Asks the guest about a step that was done. The journal stays as it is: a kill meanwhile means that the question is asked again. */
const isIntact = async ({step, index, total}: Turn, options: RunOptions): Promise<boolean> => {
  const isThere = await step.provisioner.isIntact?.(step.settings, {guest: options.guest, signal: options.signal})
  if (isThere) await options.onEvent({type: 'provision.intact', step: index + 1, total, title: step.title})
  return isThere === true
}

/** Nothing is to be checked any more on account of an earlier start, unless a step was left alone that is. */
const closeStart = async (keeper: JournalKeeper, steps: readonly PreparedStep[], verdicts: readonly StepVerdict[]): Promise<void> => {
  const {restarted, ...journal} = keeper.journal
  const isLeft = steps.some(({isChecked, run}, index) => isChecked && run === 'always' && verdicts[index]?.verdict === 'skip')
  if (restarted && !isLeft) await keeper.writeJournal(journal)
}

const requireDecisions = (vm: Vm, verdicts: readonly StepVerdict[]): void => {
  const open = verdicts.find(({verdict}) => verdict === 'undecided')
  if (!open) return
  const {step, title, cause} = open
  throw new VmctlError('vmctl::provision::unknown_outcome', `${vm.name}: step ${step} (${title}): ${cause}`, {
    help: adviceOnUnknown(vm, step),
    details: {vm: vm.name, step},
  })
}

const adviceOnUnknown = ({name}: Vm, step: number): string =>
  `Look in the guest what the step did (\`vmctl ssh ${name}\`), then decide: \`vmctl provision --name ${name} --rerun ${step}\` runs it again and goes on, \`--all\` runs all steps.`

interface Turn {
  readonly step: PreparedStep
  readonly index: number
  readonly total: number
  readonly keeper: JournalKeeper
  readonly log: ProvisionLog
  readonly tidy: (actions: Actions) => void
}

/** Ends what runs of steps that are no longer declared may have left in the guest. */
const abandonRemoved = async (vm: Vm, {keeper, log, tidy}: Pick<Turn, 'keeper' | 'log' | 'tidy'>, options: RunOptions): Promise<void> => {
  for (;;) {
    const {removed: [entry, ...rest] = [], ...journal} = keeper.journal
    if (!entry) return
    const provisioner = options.provisioners.get(entry.type ?? '')
    if (!provisioner) {
      throw new VmctlError(
        'vmctl::plugin::invalid',
        `A run of ${JSON.stringify(entry.title)}, which is no longer declared, may be left in the guest, and nothing provides ${JSON.stringify(entry.type)} to end it.`,
        {help: `Install the plugin that brings this provisioner once more, or make the VM anew: \`vmctl reload --name ${vm.name}\`.`},
      )
    }
    const afterwards: (() => Promise<void>)[] = []
    await provisioner.abandon?.(entry.memory, {guest: options.guest, afterwards: (action) => void afterwards.push(action)})
    await keeper.writeJournal({...journal, ...(rest.length > 0 && {removed: rest})})
    tidy(afterwards)
    await log.begin(`abandoned ${new Date().toISOString()}`)
    await log.append('note', `=== ${entry.title}: its run was ended, the step is no longer declared ===\n`)
    await options.onEvent({type: 'provision.abandoned', title: entry.title})
  }
}

/** Ends what an earlier run of the step may have left in the guest. Until that is done, the journal knows of it. */
const abandonStep = async ({step, index, keeper, log, tidy}: Turn, options: RunOptions): Promise<void> => {
  const number = index + 1
  const earlier = keeper.journal.steps[index]
  if (earlier?.memory === undefined) return
  const afterwards: (() => Promise<void>)[] = []
  await step.provisioner.abandon?.(earlier.memory, {guest: options.guest, afterwards: (action) => void afterwards.push(action)})
  await keeper.writeJournal(withEntry(keeper.journal, index, pendingEntry(step, 'its earlier run was ended')))
  tidy(afterwards)
  await log.begin(`abandoned ${new Date().toISOString()}`)
  await log.append('note', `=== Step ${number}: its earlier run was ended ===\n`)
  await options.onEvent({type: 'provision.abandoned', step: number, title: step.title})
}

/** @returns what is to be done once the result is on record, which it is */
const runStep = async (vm: Vm, turn: Turn, options: RunOptions): Promise<Actions> => {
  const {step, index, total, log, tidy} = turn
  const afterwards: (() => Promise<void>)[] = []
  const number = index + 1
  const started = performance.now()
  const book = await openRecord(turn, options)
  const {memory} = book
  const isContinued = memory !== undefined
  const delivered = await log.begin(book.startedAt)
  await log.append('note', `=== Step ${number}: ${step.title}${isContinued ? ' (continued)' : ''} ===\n`)
  await options.onEvent({type: 'provision.step', step: number, total, title: step.title, resumed: isContinued})
  try {
    await step.provisioner.run(step.settings, {
      vm,
      step: number,
      guest: async () => {
        const guest = await options.guest()
        book.ranOn(guest.bootId)
        return guest
      },
      env: step.env,
      memory,
      delivered,
      remember: async (next) => {
        // What is remembered may be the result, after which no output is asked for again.
        await log.settle()
        await book.remember(next)
      },
      output: async (stream, chunk) => {
        // Terminal and log at the same time; the slower one sets the pace.
        await Promise.all([log.append(stream, chunk), options.onEvent({type: 'provision.output', step: number, stream, chunk})])
      },
      afterwards: (action) => void afterwards.push(action),
      signal: options.signal,
    })
    await log.settle()
  } catch (caught) {
    await log.settle().catch(() => undefined)
    const error = await withReason(caught, options)
    const isOver = isSettled(error, {isAborted: options.signal.aborted, isLeft: book.isLeft()})
    if (isUnknown(error)) await book.lose(messageOf(error))
    else if (isOver) await book.end({...failureOf(error), ...(options.signal.aborted && {state: 'interrupted'})})
    if (isOver) tidy(afterwards)
    const end = options.signal.aborted ? 'was interrupted' : `${isOver ? 'failed' : 'was left'}: ${messageOf(error)}`
    // The log may be what failed; the journal has the message.
    await log.append('note', `=== Step ${number} ${end} ===\n`).catch(() => undefined)
    throw explain(error, {vm, turn, signal: options.signal})
  }
  await book.end({state: 'done', exitCode: 0})
  await options.onEvent({type: 'provision.done', step: number, durationMs: Math.round(performance.now() - started)})
  return afterwards
}

/** The journal's entry of the step that runs, written before the step begins and at every change of what is known. */
const openRecord = async ({step, index, keeper}: Turn, {user}: RunOptions) => {
  const earlier = keeper.journal.steps[index]
  // Without a memory there is nothing to come back to.
  const resumed = earlier?.state === 'running' && earlier.memory !== undefined ? earlier : undefined
  const startedAt = resumed?.startedAt ?? new Date().toISOString()
  const begun = performance.now()
  let entry: JournalEntry = {
    hash: step.hash,
    type: step.type,
    title: step.title,
    facts: step.facts,
    state: 'running',
    startedAt,
    ...(user !== undefined && {user}),
    ...(resumed?.bootId !== undefined && {bootId: resumed.bootId}),
    ...(resumed && {memory: resumed.memory}),
  }
  const write = (change: Partial<JournalEntry>): Promise<void> => {
    entry = {...entry, ...change}
    return keeper.writeJournal(withEntry(keeper.journal, index, entry))
  }
  await write({})
  return {
    startedAt,
    memory: resumed?.memory,
    isLeft: () => entry.memory !== undefined,
    ranOn(bootId: string | undefined): void {
      // A step that is continued began on an earlier boot perhaps.
      if (bootId !== undefined && !resumed) entry = {...entry, bootId}
    },
    remember: (memory: unknown) => write({memory}),
    lose: (message: string) => write({state: 'unknown', message}),
    end(change: Partial<JournalEntry>): Promise<void> {
      const {memory: _memory, ...rest} = entry
      entry = rest
      const ended = new Date()
      // Only the clock on the wall spans two runs of vmctl; it may have been set in between.
      const durationMs = resumed ? Math.max(0, ended.getTime() - Date.parse(startedAt)) : Math.round(performance.now() - begun)
      return write({endedAt: ended.toISOString(), durationMs, ...change})
    },
  }
}

const isUnknown = (error: unknown): boolean => isFailure(error, 'vmctl::provision::unknown_outcome')

/** An error about a restart of the guest, with why the guest did so, where that is known. */
const withReason = async (error: unknown, {whyRestarted}: RunOptions): Promise<unknown> => {
  if (!isVmctlError(error) || !error.facts.restarted) return error
  const reason = await whyRestarted?.()
  return reason === undefined ? error : error.reword({message: `${error.message} Its console says: ${reason}`, details: {reason}})
}

const isUnreachable = (error: unknown): boolean =>
  isFailure(error, 'vmctl::ssh::connection_lost', 'vmctl::ssh::unreachable', 'vmctl::ssh::host_key_mismatch')

/** Whether an error ends the step. What it has left in the guest goes on there, whatever happens to vmctl. */
const isSettled = (error: unknown, {isAborted, isLeft}: {readonly isAborted: boolean; readonly isLeft: boolean}): boolean => {
  if (isUnreachable(error)) return false
  return !isLeft || isAborted || isFailure(error, 'vmctl::provision::failed', 'vmctl::provision::timed_out') || isFinalOfPlugin(error)
}

/** A failure of a plugin's own, unless it says that its step goes on. */
const isFinalOfPlugin = (error: unknown): boolean =>
  isVmctlError(error) && !error.code.startsWith('vmctl::') && error.facts.retry !== 'later'

const failureOf = (error: unknown): Partial<JournalEntry> => {
  const {exitCode} = factsOf(error)
  return {state: 'failed', message: messageOf(error), ...(exitCode !== undefined && {exitCode})}
}

const explain = (error: unknown, {vm, turn: {step, index, log}, signal}: {vm: Vm; turn: Turn; signal: AbortSignal}): unknown => {
  // What has ended everything belongs to no step.
  if (!isVmctlError(error) || error === signal.reason) return error
  const number = index + 1
  const last = stripControls(log.tail(10))
  // Most messages say which step they are about; here its title belongs to it.
  const said = error.message.replace(/^Step \d+ /, '')
  const output = last === '' ? '' : `\nLast lines:\n  ${last.replaceAll('\n', '\n  ')}`
  return error.about({vm: vm.name, step: number}).reword({
    message: `${vm.name}: step ${number} (${step.title})${said === error.message ? ':' : ''} ${said}${output}`,
    ...(isUnknown(error) && {help: adviceOnUnknown(vm, number)}),
  })
}
