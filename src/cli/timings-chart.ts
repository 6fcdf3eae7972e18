import type {VmResult} from '../engine/converge/result.ts'
import {formatDuration} from '../model/quantity.ts'

const width = 40

/** Where the time of each VM went, as bars on a line of time. */
export const drawTimings = (vms: readonly Pick<VmResult, 'name' | 'timings'>[]): string => {
  const all = vms.flatMap(({timings}) => timings)
  const end = Math.max(1, ...all.map(({startMs, durationMs}) => startMs + durationMs))
  const label = Math.max(0, ...all.map(({what}) => what.length))
  const columns = (milliseconds: number): number => Math.round((milliseconds / end) * width)
  return vms
    .map(({name, timings}) => {
      const lines = timings.map(({what, startMs, durationMs}) => {
        const from = Math.min(columns(startMs), width - 1)
        const bar = `${' '.repeat(from)}${'█'.repeat(Math.max(1, columns(startMs + durationMs) - from))}`
        return `  ${what.padEnd(label)}  ${bar.padEnd(width)}  ${formatDuration(durationMs)}`
      })
      return [name, ...lines].join('\n')
    })
    .join('\n')
}
