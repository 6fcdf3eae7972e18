import type {Ora} from 'ora'
import type {WriteStream} from 'node:tty'

/** One live line at the bottom of a terminal that sums up what all VMs do; elsewhere only the printed lines remain. */
export interface Spinner {
  readonly isLive: boolean
  /** Says what a VM does now; undefined removes it from the line. */
  status(vm: string, text: string | undefined): void
  /** Prints a line above the live one. */
  print(line: string): void
  close(): void
}

/** ora draws without end on a terminal that says it has no columns, as serial lines and some CI systems do. */
const canBeLive = (stream: WriteStream): boolean =>
  stream.isTTY && stream.columns > 0 && process.env.TERM !== 'dumb' && !process.env.CI && !process.env.NO_COLOR

export const openSpinner = (stream: WriteStream): Spinner => {
  const isLive = canBeLive(stream)
  const texts = new Map<string, {text: string; since: number}>()
  let spinner: Ora | undefined
  let isClosed = false
  const line = (): string =>
    [...texts]
      .map(([vm, {text, since}]) => `${vm === '' ? '' : `${vm}: `}${text} ${Math.floor((performance.now() - since) / 1000)}s`)
      .join(' · ')
      .slice(0, Math.max(10, stream.columns - 4))
  const draw = (): void => {
    if (!spinner || isClosed) return
    if (texts.size === 0) spinner.stop()
    else {
      spinner.text = line()
      if (!spinner.isSpinning) spinner.start()
    }
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
    status: (vm, text) => {
      if (text === undefined) texts.delete(vm)
      else texts.set(vm, {text, since: performance.now()})
      draw()
    },
    print: (text) => {
      spinner?.clear()
      stream.write(`${text}\n`)
      draw()
    },
    close: () => {
      isClosed = true
      clearInterval(clock)
      spinner?.stop()
    },
  }
}
