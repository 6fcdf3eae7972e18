/** The lines at the bottom of what was written to a terminal, which are drawn over again and again. */
export interface LiveArea {
  /** Replaces the lines; none of them may be wider than the terminal. */
  draw(lines: readonly string[]): void
  /** Takes the lines away, so that something can be written in their place. */
  erase(): void
  /** Leaves these lines on the terminal, and the cursor below them. */
  close(lines: readonly string[]): void
}

const escape = {
  hideCursor: '\x1b[?25l',
  showCursor: '\x1b[?25h',
  clearLine: '\x1b[K',
  clearBelow: '\x1b[J',
  /** A line that is too long after all, because the terminal has just become narrower, is cut and not broken. */
  noWrap: '\x1b[?7l',
  wrap: '\x1b[?7h',
  up: (lines: number) => (lines === 0 ? '' : `\x1b[${lines}A`),
}

/**
 * Between two drawings the cursor, which is hidden, stands at the beginning of the first line. So it is not by counting lines that
 * they are found again: a terminal that breaks them anew when its width changes moves the cursor with them.
 */
export const openLiveArea = (stream: Pick<NodeJS.WriteStream, 'write'>): LiveArea => {
  let isDrawn = false
  const leave = (rest: string): void => {
    if (isDrawn) stream.write(`\r${rest}${escape.clearBelow}${escape.showCursor}`)
    else if (rest !== '') stream.write(rest)
    isDrawn = false
  }
  const onExit = (): void => leave('')
  process.once('exit', onExit)
  return {
    draw(lines) {
      if (lines.length === 0) {
        leave('')
        return
      }
      const text = lines.map((line) => `${line}${escape.clearLine}`).join('\n')
      // In one go, so that no half of it is ever seen.
      stream.write(
        `${isDrawn ? '' : escape.hideCursor}\r${escape.noWrap}${text}${escape.clearBelow}${escape.up(lines.length - 1)}\r${escape.wrap}`,
      )
      isDrawn = true
    },
    erase: () => leave(''),
    close(lines) {
      process.off('exit', onExit)
      leave(lines.map((line) => `${line}${escape.clearLine}\n`).join(''))
    },
  }
}
