import {type FailureCode, VmctlError, isVmctlError} from '../../model/errors.ts'
import {formatDuration} from '../../model/quantity.ts'
import {stripControls} from '../../model/strip.ts'
import type {Vitals} from '../../model/vitals.ts'
import type {BootStage} from './boot-signs.ts'
import {type Life, stallMs, watchLife} from './life.ts'

/** The steps to a guest that can be worked with, in their order. */
export const milestones = ['process', 'tcp', 'banner', 'host-key', 'authentication', 'boot-id', 'cloud-init', 'ready'] as const

export type Milestone = (typeof milestones)[number]

export interface GuestConsole {
  sizeBytes(): Promise<number>
  /** What was written from an offset in bytes on, and how far that goes; at most a piece of it. Without it no stage of the boot is known. */
  read?(from: number): Promise<{readonly text: string; readonly end: number}>
  /** The last lines, as the guest wrote them. */
  tail(lines: number): Promise<string>
}

/** Why nothing more can be expected of a VM: a sentence, or the error that says it better. */
export type Death = string | VmctlError

export interface WatchOptions {
  /** Why the VM's process is gone; undefined while it lives. */
  readonly isAlive: () => Promise<Death | undefined>
  readonly console: GuestConsole
  /** What the backend sees of the guest from outside. */
  readonly vitals?: (() => Promise<Vitals | undefined>) | undefined
  /**
   * The guest works without showing anything, and has written nothing to a disk. Resolves to whether it was started anew in
   * another way, which begins the wait anew.
   */
  readonly onStall?: ((evidence: string) => Promise<boolean>) | undefined
  /** Gets what the user should know while the wait goes on, a sentence each. */
  readonly onHint?: ((message: string) => void) | undefined
  /** Milliseconds without progress (a further milestone, or a console that grows) after which it is over. */
  readonly timeoutMs: number
  /** Milliseconds after which it is over in any case. */
  readonly ceilingMs: number
  readonly onMilestone?: (milestone: Milestone, detail: string) => void
  /** Gets the last line of the console when it has changed, and how far the boot is. */
  readonly onConsole?: (line: string, stage: BootStage | undefined) => void
  readonly signal?: AbortSignal | undefined
}

export interface Watch extends Disposable {
  /** Aborts when the caller gives up, the VM dies or the time is up. */
  readonly signal: AbortSignal
  /** Resolves after the first look at the VM. */
  readonly begun: Promise<void>
  reached(milestone: Milestone, detail?: string): void
  /** Remembers the latest problem, which explains a time-out. */
  note(error: VmctlError): void
  /** From here on only this deadline counts. */
  allow(limit: {readonly ms: number; readonly code: FailureCode; readonly message: string}): void
  /** The error with the last lines of the console, for one that is about time or death. */
  explain(error: unknown): Promise<unknown>
}

const tickMs = 500

/** How often what the guest does is looked at, in ticks. */
const lookEvery = 4

/** A guest that has begun to boot this often without reaching SSH goes round and round. */
const manyRestarts = 5

/** A guest that has shown nothing at all for this long never will, in milliseconds. */
const hopelessMs = 60_000

/** Firmware that finds nothing to boot may still try the next device, in milliseconds. */
const despairMs = 5000

/** Watches over the climb: is the VM alive, does anything move, is there time left? */
export const startWatch = (options: WatchOptions): Watch => {
  const {isAlive, console, timeoutMs, ceilingMs, onMilestone} = options
  const over = new AbortController()
  let started = performance.now()
  let movedAt = started
  let milestone: Milestone | undefined
  let latest: VmctlError | undefined
  let follower = followConsole(console)
  let limit: {readonly at: number; readonly error: () => VmctlError} | undefined
  let timer: NodeJS.Timeout
  let ticks = 0
  let isTried = false
  let isTold = false
  let told = ''
  const life = watchLife()

  const reached = (next: Milestone, detail = ''): void => {
    if (milestone !== undefined && milestones.indexOf(next) <= milestones.indexOf(milestone)) return
    milestone = next
    movedAt = performance.now()
    onMilestone?.(next, detail)
  }
  /** Whether SSH has answered: what the console shows of the boot is of no interest then. */
  const hasAnswered = (): boolean => milestone !== undefined && milestones.indexOf(milestone) >= milestones.indexOf('banner')
  const details = (): Readonly<Record<string, unknown>> => ({milestone: milestone ?? null, stage: life.boot.stage ?? null})
  const timedOut = (after: string): VmctlError =>
    new VmctlError(
      latest?.kind ?? 'vmctl::ssh::unreachable',
      `The guest did not become ready ${after}; ${hasAnswered() ? `it came as far as ${JSON.stringify(milestone)}` : progressOf(life)}.${latest ? ` ${latest.message}` : ''}`,
      {...latest?.facts, cause: latest, details: {...latest?.details, ...details(), timedOut: true}},
    )
  const doesNotBoot = (message: string): VmctlError =>
    new VmctlError('vmctl::vm::does_not_boot', message, {details: {...details(), restarts: life.boot.restarts}})
  const tellConsole = (): void => {
    const {lastLine, stage} = life.boot
    if (lastLine === told) return
    told = lastLine
    options.onConsole?.(lastLine, stage)
  }
  const look = async (): Promise<void> => {
    const vitals = ticks++ % lookEvery === 0 && !hasAnswered() ? await options.vitals?.() : undefined
    const {text, isFirst, hasGrown} = await follower.next(vitals?.consoleFrom)
    if (hasGrown) movedAt = performance.now()
    life.observe(text, vitals)
    tellConsole()
    // Restarts before anybody waited are no news of this wait.
    if (isFirst) life.forgetRestarts()
  }
  const failedBoot = (): VmctlError | undefined => {
    const {restarts, nothingToBoot, stage} = life.boot
    if (restarts >= manyRestarts)
      return doesNotBoot(`The guest has restarted ${restarts} times without reaching SSH; it comes as far as its ${stage}.`)
    if (nothingToBoot !== undefined && life.silentMs() >= despairMs)
      return doesNotBoot(`The guest finds nothing that it can boot: ${JSON.stringify(nothingToBoot)}.`)
    if (life.isStalled() && life.hasSpoken === false && life.silentMs() >= hopelessMs)
      return doesNotBoot(`The guest did not begin to boot: ${life.describeSilence()}.`)
    return undefined
  }
  const beginAnew = (): void => {
    started = performance.now()
    movedAt = started
    follower = followConsole(console)
    life.beginAnew()
  }
  /** A guest that shows nothing is told once, and started in another way where there is one. */
  const handleStall = async (): Promise<void> => {
    if (life.silentMs() < stallMs || life.boot.stage === 'system') return
    const evidence = life.describeSilence()
    if (!isTried && life.isStalled()) {
      isTried = true
      if (await options.onStall?.(evidence)) beginAnew()
    } else if (!isTold) {
      isTold = true
      options.onHint?.(`the guest shows no sign of life: ${evidence}`)
    }
  }
  const check = async (): Promise<VmctlError | undefined> => {
    const death = await isAlive()
    if (isVmctlError(death)) return death
    if (death !== undefined) {
      return new VmctlError('vmctl::ssh::unreachable', `The VM ended while vmctl waited for it: ${death}.`, {
        details: {...details(), died: true},
      })
    }
    reached('process')
    await look()
    const now = performance.now()
    if (limit) return now >= limit.at ? limit.error() : undefined
    if (!hasAnswered()) {
      const failure = failedBoot()
      if (failure) return failure
      await handleStall()
    }
    if (now - movedAt >= timeoutMs) return timedOut(`within ${formatDuration(timeoutMs)} without progress`)
    return now - started >= ceilingMs ? timedOut(`within ${formatDuration(ceilingMs)}`) : undefined
  }
  const begun = Promise.withResolvers<void>()
  const tick = (): void => {
    const next = (): void => {
      if (!over.signal.aborted) timer = setTimeout(tick, Math.min(tickMs, timeoutMs / 4))
    }
    check().then(
      (error) => {
        if (error) over.abort(error)
        begun.resolve()
        next()
      },
      (error: unknown) => {
        over.abort(error)
        begun.resolve()
      },
    )
  }
  timer = setTimeout(tick)

  return {
    signal: options.signal ? AbortSignal.any([options.signal, over.signal]) : over.signal,
    begun: begun.promise,
    reached,
    note(error) {
      latest = error
    },
    allow({ms, code, message}) {
      const at = performance.now() + ms
      limit = {
        at,
        error: () => new VmctlError(code, `${message} within ${formatDuration(ms)}.`, {details: {...details(), timedOut: true}}),
      }
    },
    async explain(error) {
      if (error !== over.signal.reason || !isVmctlError(error)) return error
      const tail = stripControls(await console.tail(10).catch(() => '')).trim()
      const shown =
        tail === '' ? 'The console is empty: the guest wrote nothing to its serial port.' : `The last lines of the console:\n${tail}`
      return error.reword({message: `${error.message}\n\n${shown}`})
    },
    [Symbol.dispose]() {
      clearTimeout(timer)
      over.abort()
    },
  }
}

/** Reads what a console has more, each time; first what it has since the VM's start, when that is known. */
const followConsole = (console: GuestConsole) => {
  let end: number | undefined
  return {
    async next(startsAt: number | undefined): Promise<{readonly text: string; readonly isFirst: boolean; readonly hasGrown: boolean}> {
      const isFirst = end === undefined
      const size = await console.sizeBytes()
      const from = end ?? Math.max(startsAt ?? size, size - longestHistory)
      const piece = size === from ? undefined : await console.read?.(Math.min(from, size))
      end = piece?.end ?? size
      return {text: piece?.text ?? '', isFirst, hasGrown: size > from && !isFirst}
    },
  }
}

/** Of a console with more than that since the start the end counts, in bytes. */
const longestHistory = 64 * 1024

const stageWords: Readonly<Record<BootStage, string>> = {
  firmware: 'its firmware has started',
  'boot loader': 'its boot loader has started',
  kernel: 'its kernel has started',
  system: 'its system has started',
}

/** The last that was seen of a guest whose SSH did not answer. */
const progressOf = (life: Life): string => {
  const {stage} = life.boot
  if (stage !== undefined) return `the last that was seen of it: ${stageWords[stage]}, but SSH does not answer`
  return life.hasSpoken === false ? `nothing was seen of it (${life.describeSilence()})` : 'SSH does not answer'
}
