import type {Vitals} from '../model/vitals.ts'
import {bootSigns, type BootSigns, emptyBootLog, readBoot} from './boot-signs.ts'

/** How long a guest may show nothing before it is called stalled, in milliseconds. */
export const stallMs = 20_000

/** What was seen of a guest from outside, and when it last showed anything. */
export interface Life {
  /** Takes in what the console has more, and what the backend sees. */
  observe(consoleText: string, vitals: Vitals | undefined): void
  readonly boot: BootSigns
  /** Whether anything was seen on the console; undefined where it is not known where its log begins. */
  readonly hasSpoken: boolean | undefined
  /** Milliseconds for which the guest has shown nothing: no byte on the console, no disk request, no packet. */
  silentMs(): number
  /** Whether the guest has worked all the time without showing anything: its processor is busy, and it has written nothing to a disk. */
  isStalled(): boolean
  /** What was seen in the silence, in words. */
  describeSilence(): string
  forgetRestarts(): void
  /** The guest was started anew. */
  beginAnew(): void
}

export const watchLife = (): Life => {
  let log = emptyBootLog
  let consoleBytes = 0
  let latest: Vitals | undefined
  /** As of the latest sign of life. */
  let signed = {at: performance.now(), cpuSeconds: 0, stamp: ''}
  const silentMs = (): number => performance.now() - signed.at
  /** Processor time in the silence as a share of one processor; undefined where it is not known. */
  const load = (): number | undefined =>
    latest?.cpuSeconds === undefined || silentMs() <= 0 ? undefined : (latest.cpuSeconds - signed.cpuSeconds) / (silentMs() / 1000)

  return {
    observe(text, vitals) {
      log = readBoot(log, text)
      consoleBytes += text.length
      latest = vitals ?? latest
      const stamp = [consoleBytes, latest?.diskReads, latest?.diskWrites, latest?.connections].join(' ')
      if (stamp === signed.stamp) return
      signed = {at: performance.now(), cpuSeconds: latest?.cpuSeconds ?? 0, stamp}
    },
    get boot() {
      return bootSigns(log)
    },
    get hasSpoken() {
      return consoleBytes > 0 || (latest?.consoleFrom === undefined ? undefined : false)
    },
    silentMs,
    isStalled: () => silentMs() >= stallMs && (load() ?? 0) >= 0.8 && latest?.diskWrites === 0 && !latest.connections,
    describeSilence() {
      const seconds = Math.round(silentMs() / 1000)
      const more = consoleBytes > 0 || (latest?.diskReads ?? 0) > 0 ? 'more ' : ''
      const share = load()
      const busy =
        share === undefined ? '' : share >= 0.8 ? '; its process uses all of one CPU' : share < 0.2 ? '; its process is idle' : ''
      const disk = latest?.diskReads === undefined ? '' : ` and no ${more}disk read`
      return `no ${more}byte on the console${disk} in ${seconds} s${busy}`
    },
    forgetRestarts() {
      log = {...log, settled: {...log.settled, restarts: 0}}
    },
    beginAnew() {
      log = emptyBootLog
      consoleBytes = 0
      latest = undefined
      signed = {at: performance.now(), cpuSeconds: 0, stamp: ''}
    },
  }
}
