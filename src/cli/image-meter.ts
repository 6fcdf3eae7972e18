import type {EngineEvent} from '../engine/events.ts'
import {formatDuration, formatSize} from '../model/quantity.ts'

type MeterEvent = Extract<EngineEvent, {type: `image.${string}`}>

interface Surface {
  readonly isLive: boolean
  status(vm: string, text: string): void
  end(vm: string): void
  say(vm: string | undefined, text: string): void
}

/** Bytes of one transfer over time: rate and time left. */
interface Transfer {
  readonly startedAt: number
  readonly startBytes: number
  /** The last twentieth that was printed where there is no live line. */
  told: number
}

/** Shows downloads and decompression: a live percentage with rate and time left on a terminal, a line every 5 % elsewhere. */
export const imageMeter = ({isLive, status, end, say}: Surface): ((event: MeterEvent) => void) => {
  const transfers = new Map<string, Transfer>()
  const measure = (event: MeterEvent & {source: string}, bytes: number, total: number | undefined): string => {
    const key = `${event.type} ${event.source}`
    const transfer = transfers.get(key) ?? {startedAt: performance.now(), startBytes: bytes, told: -1}
    transfers.set(key, transfer)
    const seconds = (performance.now() - transfer.startedAt) / 1000
    const rate = seconds > 0.2 ? (bytes - transfer.startBytes) / seconds : 0
    const rateText = rate > 0 ? `, ${formatSize(Math.round(rate))}/s` : ''
    if (total === undefined) return `${formatSize(bytes)}${rateText}`
    const left = rate > 0 && bytes < total ? `, ${formatDuration(((total - bytes) / rate) * 1000)} left` : ''
    return `${Math.floor((bytes / Math.max(1, total)) * 100)} % of ${formatSize(total)}${rateText}${left}`
  }
  const report = (event: MeterEvent & {source: string}, what: string, {bytes, total}: {bytes: number; total: number | undefined}): void => {
    const text = `${what}: ${measure(event, bytes, total)}`
    if (isLive) {
      status(event.vm ?? '', text)
      return
    }
    const transfer = transfers.get(`${event.type} ${event.source}`)
    const twentieth = total === undefined ? Math.floor(bytes / 2 ** 28) : Math.floor((bytes / Math.max(1, total)) * 20)
    if (transfer && twentieth > transfer.told) {
      transfer.told = twentieth
      say(event.vm, text)
    }
  }
  return (event) => {
    if (event.type === 'image.progress') report(event, 'image', {bytes: event.receivedBytes, total: event.totalBytes})
    else if (event.type === 'image.decompressing') report(event, 'decompressing', {bytes: event.readBytes, total: event.totalBytes})
    else if (event.type === 'image.retrying') say(event.vm, `image: ${event.reason}`)
    else if (event.type === 'image.waiting') say(event.vm, `image: waiting for another vmctl: ${event.holder}`)
    else end(event.vm ?? '')
  }
}
