import type {Vitals} from '../../model/vitals.ts'
import {bootSigns, type BootSigns, emptyBootLog, readBoot} from './boot-signs.ts'

/** How long a guest may show nothing before it is called stalled, in milliseconds. */
export const stallMs = 20_000

/** So much processor time without a sign is no lack of it: a busy host stretches the time of the clock. In seconds. */
const stallCpuSeconds = 5

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
  /** Whether it was busy whenever somebody looked since then; undefined when nobody has. */
  let busy: boolean | undefined
  const silentMs = (): number => performance.now() - signed.at
  /** Processor time since then, in seconds. */
  const worked = (): number => (latest?.cpuSeconds ?? 0) - signed.cpuSeconds
  const activity = (): string => {
    if (worked() >= 0.8 * (silentMs() / 1000)) return '; its process uses all of one CPU'
    if (busy === undefined) return ''
    return busy ? '; its process is busy all the time' : '; its process waits'
  }

  return {
    observe(text, vitals) {
      log = readBoot(log, text)
      consoleBytes += text.length
      latest = vitals ?? latest
      if (vitals?.busy !== undefined) busy = (busy ?? true) && vitals.busy
      const stamp = [consoleBytes, latest?.diskReads, latest?.diskWrites, latest?.connections].join(' ')
      if (stamp === signed.stamp) return
      signed = {at: performance.now(), cpuSeconds: latest?.cpuSeconds ?? 0, stamp}
      busy = undefined
    },
    get boot() {
      return bootSigns(log)
    },
    get hasSpoken() {
      return consoleBytes > 0 || (latest?.consoleFrom === undefined ? undefined : false)
    },
    silentMs,
    isStalled: () =>
      silentMs() >= stallMs && busy === true && worked() >= stallCpuSeconds && latest?.diskWrites === 0 && !latest.connections,
    describeSilence() {
      const seconds = Math.round(silentMs() / 1000)
      const more = consoleBytes > 0 || (latest?.diskReads ?? 0) > 0 ? 'more ' : ''
      const disk = latest?.diskReads === undefined ? '' : ` and no ${more}disk read`
      return `no ${more}byte on the console${disk} in ${seconds} s${activity()}`
    },
    forgetRestarts() {
      log = {...log, settled: {...log.settled, restarts: 0}}
    },
    beginAnew() {
      log = emptyBootLog
      consoleBytes = 0
      latest = undefined
      busy = undefined
      signed = {at: performance.now(), cpuSeconds: 0, stamp: ''}
    },
  }
}
