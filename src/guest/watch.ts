import {type FailureCode, VmctlError} from '../model/errors.ts'
import {formatDuration} from '../model/quantity.ts'
import {stripControls} from '../model/strip.ts'

/** The steps to a guest that can be worked with, in their order. */
export const rungs = ['process', 'tcp', 'banner', 'host-key', 'authentication', 'boot-id', 'cloud-init', 'ready'] as const

export type Rung = (typeof rungs)[number]

export interface GuestConsole {
  sizeBytes(): Promise<number>
  /** The last lines, as the guest wrote them. */
  tail(lines: number): Promise<string>
}

export interface WatchOptions {
  /** Why the VM's process is gone; undefined while it lives. */
  readonly isAlive: () => Promise<string | undefined>
  readonly console: GuestConsole
  /** Milliseconds without progress (a higher rung, or a console that grows) after which it is over. */
  readonly timeoutMs: number
  /** Milliseconds after which it is over in any case. */
  readonly ceilingMs: number
  readonly onRung?: (rung: Rung, detail: string) => void
  readonly signal?: AbortSignal | undefined
}

export interface Watch extends Disposable {
  /** Aborts when the caller gives up, the VM dies or the time is up. */
  readonly signal: AbortSignal
  /** Resolves after the first look at the VM. */
  readonly begun: Promise<void>
  reached(rung: Rung, detail?: string): void
  /** Remembers the latest problem, which explains a time-out. */
  note(error: VmctlError): void
  /** From here on only this deadline counts. */
  allow(limit: {readonly ms: number; readonly code: FailureCode; readonly message: string}): void
  /** The error with the last lines of the console, for one that is about time or death. */
  explain(error: unknown): Promise<unknown>
}

const tickMs = 500

/** Watches over the climb: is the VM alive, does anything move, is there time left? */
export const startWatch = (options: WatchOptions): Watch => {
  const {isAlive, console, timeoutMs, ceilingMs, onRung} = options
  const over = new AbortController()
  const started = performance.now()
  let movedAt = started
  let rung: Rung | undefined
  let latest: VmctlError | undefined
  let consoleBytes = -1
  let limit: {readonly at: number; readonly error: () => VmctlError} | undefined
  let timer: NodeJS.Timeout

  const reached = (next: Rung, detail = ''): void => {
    if (rung !== undefined && rungs.indexOf(next) <= rungs.indexOf(rung)) return
    rung = next
    movedAt = performance.now()
    onRung?.(next, detail)
  }
  const timedOut = (after: string): VmctlError =>
    new VmctlError(
      latest?.code ?? 'vmctl::ssh::unreachable',
      `The guest did not become ready ${after}; it came as far as ${JSON.stringify(rung ?? 'nothing')}.${latest ? ` ${latest.message}` : ''}`,
      {
        cause: latest,
        details: {...latest?.details, rung: rung ?? null, timedOut: true},
      },
    )
  const check = async (): Promise<VmctlError | undefined> => {
    const death = await isAlive()
    if (death !== undefined) {
      return new VmctlError('vmctl::ssh::unreachable', `The VM ended while vmctl waited for it: ${death}.`, {
        details: {rung: rung ?? null, died: true},
      })
    }
    reached('process')
    const bytes = await console.sizeBytes()
    const now = performance.now()
    if (bytes > consoleBytes) {
      if (consoleBytes >= 0) movedAt = now
      consoleBytes = bytes
    }
    if (limit) return now >= limit.at ? limit.error() : undefined
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
        error: () => new VmctlError(code, `${message} within ${formatDuration(ms)}.`, {details: {rung: rung ?? null, timedOut: true}}),
      }
    },
    async explain(error) {
      if (error !== over.signal.reason || !(error instanceof VmctlError)) return error
      const tail = stripControls(await console.tail(10).catch(() => '')).trim()
      if (tail === '') return error
      const {code, help, details, cause} = error
      return new VmctlError(code, `${error.message}\n\nThe last lines of the console:\n${tail}`, {help, details, cause})
    },
    [Symbol.dispose]() {
      clearTimeout(timer)
      over.abort()
    },
  }
}
