import type {EngineEvent} from '../engine/events.ts'
import {formatDuration, formatSize} from '../model/quantity.ts'
import {displayWidth} from '../model/display-width.ts'
import {cut} from './width.ts'
import {screenOf} from './screen.ts'

type MeterEvent = Extract<EngineEvent, {type: `image.${string}`}>

interface Surface {
  readonly isLive: boolean
  status(vm: string, text: string): void
  end(vm: string): void
  say(vm: string | undefined, text: string): void
  /** Cells for the text of a VM; as many as the terminal has but for a name, a mark and a time when absent. */
  width?(vm: string): number
}

/** One transfer over time. */
interface Transfer {
  readonly startedAt: number
  /** Of the last seconds, oldest first: the rate is theirs. */
  samples: readonly Sample[]
  /** The last tenth that was printed where there is no live line, and when. */
  told: {readonly tenth: number; readonly at: number}
}

interface Sample {
  readonly at: number
  readonly bytes: number
}

/** How far a transfer is; times in milliseconds. */
interface Reading {
  readonly name: string
  readonly bytes: number
  readonly total: number | undefined
  /** Bytes a second; 0 while it is not known. */
  readonly rate: number
}

const rateWindowMs = 5000

/** Where lines are printed, a fast transfer says that it has begun and what came of it. */
const quietMs = 5000

/** What a name, a mark and a time take besides the text of a live line, in cells. */
const besides = 12

/** `debian-12.qcow2` of a path, or of a URL without its query. */
const fileNameOf = (source: string): string =>
  source
    .replace(/[?#].*$/, '')
    .replace(/\/+$/, '')
    .split('/')
    .at(-1) || source

const percent = (bytes: number, total: number): number => Math.floor((bytes / Math.max(1, total)) * 100)

const leftOf = ({bytes, total, rate}: Reading): string | undefined =>
  total === undefined || rate <= 0 || bytes >= total ? undefined : `${formatDuration(((total - bytes) / rate) * 1000)} left`

const rateOf = ({rate}: Reading): string | undefined => (rate > 0 ? `${formatSize(Math.round(rate))}/s` : undefined)

const sizeOf = ({bytes, total}: Reading): string =>
  total === undefined ? formatSize(bytes) : `${formatSize(bytes)} of ${formatSize(total)}`

const drawBar = (share: number, width: number): string => {
  const full = Math.round(Math.min(1, share) * width)
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`
}

/** One line: name, bar, percent, size, rate, time left. Where there is less room the name gets shorter, and then parts are left out. */
export const drawMeter = (reading: Reading, width: number): string => {
  const {name, bytes, total} = reading
  const share = total === undefined ? undefined : `${percent(bytes, total)} %`.padStart(5)
  /** In the order of the line; what is needed least has the highest rank. */
  const parts = [
    {rank: 3, text: cut(name, Math.max(12, Math.min(40, width - 52)))},
    {rank: 1, text: total === undefined ? undefined : drawBar(bytes / Math.max(1, total), width < 60 ? 10 : 20)},
    {rank: 0, text: share ?? sizeOf(reading)},
    {rank: 4, text: share === undefined ? undefined : sizeOf(reading)},
    {rank: 5, text: rateOf(reading)},
    {rank: 2, text: leftOf(reading)},
  ].flatMap(({rank, text}) => (text === undefined ? [] : [{rank, text}]))
  const lines = [6, 5, 4, 3, 2, 1].map((limit) =>
    parts
      .filter(({rank}) => rank < limit)
      .map(({text}) => text)
      .join('  '),
  )
  return lines.find((line) => displayWidth(line) <= width) ?? cut(lines.at(-1) ?? '', width)
}

/** The same where a line is printed now and then. */
const sentence = (reading: Reading): string => {
  const {name, bytes, total} = reading
  const far = total === undefined ? formatSize(bytes) : `${percent(bytes, total)} % of ${formatSize(total)}`
  return `${name}: ${[far, rateOf(reading), leftOf(reading)].filter((text) => text !== undefined).join(', ')}`
}

const verdict = (verifiedBy: string | undefined): string =>
  verifiedBy === undefined ? 'not verified, since no checksum is given' : `verified by ${verifiedBy}`

/** Shows downloads and decompression: a live bar with rate and time left on a terminal, a line every 10 %, but not more than one in 5 s, elsewhere, and what came of it. */
export const imageMeter = (surface: Surface): ((event: MeterEvent) => void) => {
  const {isLive, status, end, say} = surface
  const transfers = new Map<string, Transfer>()
  const widthFor = (vm: string): number => surface.width?.(vm) ?? (screenOf(process.stderr).width ?? 80) - displayWidth(vm) - besides
  const measure = (key: string, bytes: number): {readonly transfer: Transfer; readonly rate: number} => {
    const at = performance.now()
    const transfer = transfers.get(key) ?? {startedAt: at, samples: [], told: {tenth: -1, at: -Infinity}}
    transfers.set(key, transfer)
    transfer.samples = [...transfer.samples.filter((sample) => at - sample.at < rateWindowMs), {at, bytes}]
    const [first] = transfer.samples
    const ms = at - (first?.at ?? at)
    return {transfer, rate: ms > 200 ? ((bytes - (first?.bytes ?? bytes)) / ms) * 1000 : 0}
  }
  const report = (event: MeterEvent & {source: string}, what: string, {bytes, total}: {bytes: number; total: number | undefined}): void => {
    const {transfer, rate} = measure(keyOf(event), bytes)
    const reading = {name: `${what}${fileNameOf(event.source)}`, bytes, total, rate}
    if (isLive) {
      status(event.vm ?? '', drawMeter(reading, widthFor(event.vm ?? '')))
      return
    }
    const at = performance.now()
    const tenth = Math.floor(total === undefined ? bytes / 2 ** 28 : (bytes / Math.max(1, total)) * 10)
    if (tenth <= transfer.told.tenth || at - transfer.told.at < quietMs) return
    transfer.told = {tenth, at}
    say(event.vm, sentence(reading))
  }
  const conclude = (event: Extract<MeterEvent, {type: 'image.ready'}>): void => {
    end(event.vm ?? '')
    const {source, path, isFresh, verifiedBy} = event
    const transfer = transfers.get(keyOf({type: 'image.progress', source}))
    const received = transfer?.samples.at(-1)
    for (const type of ['image.progress', 'image.decompressing']) transfers.delete(keyOf({type, source}))
    if (transfer && received) {
      const time = formatDuration(received.at - transfer.startedAt)
      say(event.vm, `${fileNameOf(source)}: ${formatSize(received.bytes)} in ${time}, ${verdict(verifiedBy)}`)
    } else if (!isFresh && event.vm === undefined && path !== source) {
      say(event.vm, `${fileNameOf(source)}: already in the cache, ${verdict(verifiedBy)}`)
    }
  }
  const concludePush = ({vm, source, sentBytes, sizeBytes}: Extract<MeterEvent, {type: 'image.pushed'}>): void => {
    end(vm ?? '')
    const key = keyOf({type: 'image.pushing', source})
    const transfer = transfers.get(key)
    for (const type of ['image.packing', 'image.pushing']) transfers.delete(keyOf({type, source}))
    const sent = transfer && formatDuration(performance.now() - transfer.startedAt)
    const told = sentBytes === 0 || sent === undefined ? 'the registry has it already' : `${formatSize(sentBytes)} sent in ${sent}`
    say(vm, `${fileNameOf(source)}: ${told}${sentBytes > 0 && sentBytes < sizeBytes ? `, of ${formatSize(sizeBytes)}` : ''}`)
  }
  return (event) => {
    if (event.type === 'image.progress') report(event, '', {bytes: event.receivedBytes, total: event.totalBytes})
    else if (event.type === 'image.decompressing') report(event, 'decompressing ', {bytes: event.readBytes, total: event.totalBytes})
    else if (event.type === 'image.packing') report(event, 'packing ', {bytes: event.readBytes, total: event.totalBytes})
    else if (event.type === 'image.pushing') report(event, 'pushing ', {bytes: event.sentBytes, total: event.totalBytes})
    else if (event.type === 'image.pushed') concludePush(event)
    else if (event.type === 'image.building') {
      if (isLive) status(event.vm ?? '', `${event.source}: ${event.phase}`)
      else say(event.vm, `${event.source}: ${event.phase}`)
    } else if (event.type === 'image.retrying') say(event.vm, event.reason)
    else if (event.type === 'image.waiting') say(event.vm, `waiting for another vmctl, which works with the same image: ${event.holder}`)
    else if (event.type === 'image.queued') say(event.vm, `${fileNameOf(event.source)}: waiting for other downloads`)
    else conclude(event)
  }
}

const keyOf = ({type, source}: {readonly type: string; readonly source: string}): string => `${type} ${source}`
