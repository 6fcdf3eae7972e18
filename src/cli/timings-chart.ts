import type {VmResult} from '../engine/converge/result.ts'
import {formatDuration} from '../model/quantity.ts'
import {displayWidth} from '../model/display-width.ts'
import {cut, padTo} from './width.ts'
import {paint, type Screen, type Style} from './screen.ts'

type Timed = Pick<VmResult, 'name' | 'timings'>

/** A stretch of time as it is drawn, in milliseconds. */
interface Bar {
  readonly label: string
  readonly style: Style
  readonly startMs: number
  readonly endMs: number
}

const doing = {style: 'cyan'} as const
const booting = {label: 'booting', style: 'yellow'} as const
const loggingIn = {label: 'logging in', style: 'magenta'} as const
const services = {label: 'starting services', style: 'yellow'} as const

/** Actions and milestones in words; milestones that are of interest to nobody count to what goes on meanwhile. */
const looks: Readonly<Record<string, Pick<Bar, 'label' | 'style'>>> = {
  image: {...doing, label: 'fetching the image'},
  create: {...doing, label: 'creating'},
  recreate: {...doing, label: 'recreating'},
  update: {...doing, label: 'updating'},
  start: {...doing, label: 'starting'},
  stop: {...doing, label: 'stopping'},
  resume: {...doing, label: 'resuming'},
  destroy: {...doing, label: 'destroying'},
  'check-health': {label: 'waiting for health', style: 'magenta'},
  process: booting,
  tcp: booting,
  banner: booting,
  'host-key': loggingIn,
  authentication: loggingIn,
  'boot-id': loggingIn,
  'cloud-init': services,
  ready: services,
}

const barsOf = (timings: Timed['timings']): readonly Bar[] =>
  timings.reduce<readonly Bar[]>((bars, {what, title, startMs, durationMs}) => {
    const look = looks[what] ?? {label: title === undefined ? what : `${what}: ${title}`, style: 'green'}
    const bar = {...look, startMs, endMs: startMs + durationMs}
    const last = bars.at(-1)
    return last?.label === bar.label ? [...bars.slice(0, -1), {...last, endMs: bar.endMs}] : [...bars, bar]
  }, [])

/** What was too short for a figure was not nothing. */
const figure = (milliseconds: number): string => (milliseconds > 0 && milliseconds < 50 ? '<0.1 s' : formatDuration(milliseconds))

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

interface Scale {
  readonly endMs: number
  /** Cells. */
  readonly width: number
}

/** As long as its time to an eighth of a cell, and never shorter than that; nothing for no time at all. */
const drawBar = ({startMs, endMs}: Bar, scale: Scale): string => {
  const cell = (milliseconds: number): number => (milliseconds / scale.endMs) * scale.width
  const from = Math.min(Math.floor(cell(startMs)), scale.width - 1)
  const parts = endMs > startMs ? Math.max(1, Math.round(cell(endMs - startMs) * 8)) : 0
  return `${' '.repeat(from)}${'█'.repeat(Math.floor(parts / 8))}${eighths[parts % 8]}`
}

/** Seconds between two marks, the nicest that leave room for their labels. */
const marks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600] as const

const markWidth = 9

const drawAxis = ({endMs, width}: Scale): readonly [string, string] => {
  const stepMs = (marks.find((seconds) => ((seconds * 1000) / endMs) * width >= markWidth) ?? Infinity) * 1000
  let line = ''
  let labels = ''
  for (let at = 0; at <= endMs; at += stepMs) {
    const column = Math.min(width - 1, Math.floor((at / endMs) * width))
    const label = at === 0 ? '0 s' : formatDuration(at)
    if (column + label.length > width) break
    line = `${line.padEnd(column, '─')}┼`
    labels = padTo(labels, column) + label
  }
  return [line.replace('┼', '└').replaceAll('┼', '┴').padEnd(width, '─'), labels]
}

/** Where the time of each VM went, as bars on one line of time. */
export const drawTimings = (vms: readonly Timed[], screen: Screen = {colour: false}): string => {
  const charts = vms.map(({name, timings}) => ({name, bars: barsOf(timings)}))
  const all = charts.flatMap(({bars}) => bars)
  const endMs = Math.max(...all.map((bar) => bar.endMs))
  const columns = screen.width ?? 80
  const labels = Math.min(Math.max(...all.map(({label}) => displayWidth(label))), Math.max(12, Math.floor(columns * 0.35)))
  const figures = Math.max(figure(endMs).length, ...all.map((bar) => figure(bar.endMs - bar.startMs).length))
  const scale = {endMs: Math.max(1, endMs), width: Math.max(4, columns - labels - figures - 6)}
  const row = (label: string, middle: string, end: string): string =>
    `${padTo(label, labels + 2)}  ${padTo(middle, scale.width)}  ${end}`.trimEnd()
  const total = (name: string, milliseconds: number): string => {
    const shown = figure(milliseconds)
    const room = columns - shown.length - 2
    return `${paint('bold', padTo(cut(name, room), room), screen)}  ${paint('bold', shown, screen)}`
  }
  const lines = charts.flatMap(({name, bars}) => {
    const [first] = bars
    if (!first) return [`${paint('bold', name, screen)}  ${paint('dim', 'nothing to do', screen)}`]
    return [
      total(name, Math.max(...bars.map((bar) => bar.endMs)) - first.startMs),
      ...bars.map((bar) => {
        const drawn = drawBar(bar, scale)
        const text = row(`  ${cut(bar.label, labels)}`, drawn, figure(bar.endMs - bar.startMs).padStart(figures))
        return drawn === '' ? text : text.replace(drawn, () => paint(bar.style, drawn, screen))
      }),
    ]
  })
  if (all.length === 0) return lines.join('\n')
  const axis = drawAxis(scale).map((line) => paint('dim', row('', line, ''), screen))
  return [...lines, ...axis, ...(vms.length > 1 ? [total('total', endMs)] : [])].join('\n')
}
