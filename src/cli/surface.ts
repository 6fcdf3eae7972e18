import {fstatSync} from 'node:fs'
import type {WriteStream} from 'node:tty'

import type {Canvas} from './draw-rows.ts'
import {openLiveArea} from './live-area.ts'
import {openRows, type Rows} from './rows.ts'
import {type Screen, screenOf} from './screen.ts'

/** Where progress is shown: rows at the bottom of a terminal and lines above them; elsewhere only lines, each with its time. */
export interface Surface {
  readonly isLive: boolean
  /** What text is drawn for, as wide as the terminal is now. */
  screen(): Screen
  readonly rows: Rows
  /** Shows what has changed in the rows. */
  update(): void
  /** Writes a line of vmctl. */
  say(line: string): void
  /** Writes whole lines as they are. */
  print(lines: string): void
  /** Takes the rows away while something is written to the terminal. */
  above<T>(write: () => T): T
  /** Leaves the rows as they are now. */
  close(): Promise<void>
}

/**
 * Not on a terminal that says it has no columns, as serial lines and some CI systems do, nor where standard output goes into a pipe:
 * `| tee log` would write into the rows.
 */
const canBeLive = (stream: WriteStream): boolean =>
  stream.isTTY && stream.columns > 0 && process.env.TERM !== 'dumb' && !process.env.CI && !isPipe(process.stdout)

/** Node makes pipes of sockets. */
const isPipe = ({fd}: {readonly fd: number}): boolean => {
  try {
    const kind = fstatSync(fd)
    return kind.isFIFO() || kind.isSocket()
  } catch {
    return false
  }
}

const frameMs = 100

export const openSurface = (stream: WriteStream, {isPlain}: {readonly isPlain: boolean}): Surface => {
  return !isPlain && canBeLive(stream) ? liveSurface(stream) : plainSurface(stream)
}

const plainSurface = (stream: WriteStream): Surface => {
  const started = performance.now()
  const print = (lines: string): void => void stream.write(`${lines}\n`)
  return {
    isLive: false,
    screen: () => screenOf(stream),
    rows: openRows(),
    update: () => undefined,
    say: (line) => print(`[${((performance.now() - started) / 1000).toFixed(1).padStart(6)}s] ${line}`),
    print,
    above: (write) => write(),
    close: async () => undefined,
  }
}

type Drawing = Pick<typeof import('./draw-rows.ts'), 'drawRows'> & Pick<typeof import('./wrap.ts'), 'wrapLines'>

const loadDrawing = async (): Promise<Drawing> => {
  const [{drawRows}, {wrapLines}] = await Promise.all([import('./draw-rows.ts'), import('./wrap.ts')])
  return {drawRows, wrapLines}
}

const liveSurface = (stream: WriteStream): Surface => {
  const rows = openRows()
  const area = openLiveArea(stream)
  const isUnicode = process.env.TERM !== 'linux'
  let frame = 0
  let drawing: Drawing | undefined
  let isClosed = false
  const canvas = (height: number): Canvas => ({columns: stream.columns, height, frame, isUnicode, ...screenOf(stream)})
  const draw = (): void => {
    if (drawing && !isClosed) area.draw(drawing.drawRows(rows.all(), canvas(stream.rows - 1)))
  }
  const clock = setInterval(() => {
    frame += 1
    if (rows.all().length > 0) draw()
  }, frameMs).unref()
  const above = <T>(write: () => T): T => {
    area.erase()
    const result = write()
    draw()
    return result
  }
  const signals = onSuspension(area.erase, draw)
  stream.on('resize', draw)
  const loading = loadDrawing().then((loaded) => {
    drawing = loaded
    draw()
    return loaded
  })
  const print = (lines: string): void => void above(() => stream.write(`${lines}\n`))
  const say = (line: string): void => print(drawing ? drawing.wrapLines(line, Math.max(20, stream.columns - 1)) : line)
  return {
    isLive: true,
    screen: () => screenOf(stream),
    rows,
    // What is gone goes at once, since a program may have the terminal next. The rest waits for its turn.
    update: () => {
      if (rows.all().length === 0) area.erase()
    },
    say,
    print,
    above,
    async close() {
      if (isClosed) return
      isClosed = true
      clearInterval(clock)
      signals[Symbol.dispose]()
      stream.off('resize', draw)
      // Without a pause once it is there: who leaves the process at once does not wait.
      const {drawRows} = drawing ?? (await loading)
      area.close(drawRows(rows.all(), canvas(Number.POSITIVE_INFINITY)))
    },
  }
}

/** Ctrl+Z: the terminal is left in order while vmctl is stopped. */
const onSuspension = (leave: () => void, comeBack: () => void): Disposable => {
  const suspend = (): void => {
    leave()
    process.kill(process.pid, 'SIGSTOP')
  }
  process.on('SIGTSTP', suspend)
  process.on('SIGCONT', comeBack)
  return {
    [Symbol.dispose]() {
      process.off('SIGTSTP', suspend)
      process.off('SIGCONT', comeBack)
    },
  }
}
