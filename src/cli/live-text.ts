import {openLiveArea} from './live-area.ts'
import {screenOf} from './screen.ts'
import {type Column, table} from './table.ts'

/** A table that is shown again whenever it may have changed. The first cell of a row is its key. */
export interface LiveText extends Disposable {
  show(columns: readonly (Column | string)[], rows: readonly (readonly string[])[]): void
}

type Output = Pick<NodeJS.WriteStream, 'write'> & Parameters<typeof screenOf>[0] & {readonly rows?: number}

/** On a terminal in place, elsewhere one line for each row that has changed. */
export const openLiveText = (stream: Output): LiveText => (stream.isTTY ? inPlace(stream) : asLines(stream))

const inPlace = (stream: Output): LiveText => {
  const area = openLiveArea(stream)
  let lines: readonly string[] = []
  return {
    show(columns, rows) {
      lines = table(columns, rows, screenOf(stream))
        .split('\n')
        .slice(0, Math.max(1, (stream.rows ?? 24) - 1))
      area.draw(lines)
    },
    [Symbol.dispose]: () => area.close(lines),
  }
}

const asLines = (stream: Output): LiveText => {
  const shown = new Map<string, string>()
  return {
    show(columns, rows) {
      const titles = columns.map((column) => (typeof column === 'string' ? column : column.title))
      for (const cells of [titles, ...rows]) {
        const [key = ''] = cells
        const line = cells.join('  ')
        if (shown.get(key) === line) continue
        shown.set(key, line)
        stream.write(`${line}\n`)
      }
    },
    [Symbol.dispose]: () => undefined,
  }
}
