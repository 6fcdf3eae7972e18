import type {Ora} from 'ora'
import type {WriteStream} from 'node:tty'

import {type Owner, statuses} from './statuses.ts'

/** One live line at the bottom of a terminal that sums up what all VMs do; elsewhere only the printed lines remain. */
export interface Spinner {
  readonly isLive: boolean
  /** Says what is being done to a VM, until what it belongs to has ended. */
  status(vm: string, owner: Owner, text: string): void
  /** Something has ended, with all that began within it; without an owner, everything of the VM. */
  end(vm: string, owner?: Owner): void
  /** Takes the live line away while something is written to the terminal. */
  above<T>(write: () => T): T
  /** Prints a line above the live one. */
  print(line: string): void
  close(): void
}

/** ora draws without end on a terminal that says it has no columns, as serial lines and some CI systems do. */
const canBeLive = (stream: WriteStream): boolean =>
  stream.isTTY && stream.columns > 0 && process.env.TERM !== 'dumb' && !process.env.CI && !process.env.NO_COLOR

export const openSpinner = (stream: WriteStream, {isPlain}: {readonly isPlain: boolean}): Spinner => {
  const isLive = !isPlain && canBeLive(stream)
  const all = statuses()
  let spinner: Ora | undefined
  let isClosed = false
  /** ora writes to the terminal also when there is nothing to stop. */
  const stop = (): void => {
    if (spinner?.isSpinning) spinner.stop()
  }
  const draw = (): void => {
    if (!spinner || isClosed) return
    const line = all.line(performance.now())
    if (line === '') stop()
    else {
      spinner.text = line.slice(0, Math.max(10, stream.columns - 4))
      if (!spinner.isSpinning) spinner.start()
    }
  }
  const above = <T>(write: () => T): T => {
    if (spinner?.isSpinning) spinner.clear()
    const result = write()
    draw()
    return result
  }
  const clock = isLive ? setInterval(draw, 500) : undefined
  clock?.unref()
  if (isLive) {
    void import('ora').then(({default: ora}) => {
      // Ctrl+C must reach us at once, so the terminal stays in its own mode.
      spinner = ora({stream, discardStdin: false, hideCursor: true})
      draw()
    })
  }
  return {
    isLive,
    above,
    status: (vm, owner, text) => {
      all.set(vm, owner, text)
      draw()
    },
    end: (vm, owner) => {
      all.end(vm, owner)
      draw()
    },
    print: (text) => {
      above(() => stream.write(`${text}\n`))
    },
    close: () => {
      isClosed = true
      clearInterval(clock)
      stop()
    },
  }
}
