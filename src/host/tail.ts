import {stripControls} from '../model/strip.ts'
import {lastLines} from './process.ts'

/** The end of what a program says, for a message about it. */
export interface Tail {
  readonly take: (chunk: Uint8Array) => void
  readonly text: () => string
  /** The last lines, without what would work on a terminal. */
  readonly lines: (count: number) => string
}

/** Keeps the last 4 KiB. */
export const keepTail = (limitBytes = 4096): Tail => {
  let bytes = Buffer.alloc(0)
  return {
    take(chunk) {
      bytes = Buffer.concat([bytes, chunk]).subarray(-limitBytes)
    },
    text: () => bytes.toString(),
    lines: (count) => lastLines(stripControls(bytes.toString()), count),
  }
}
