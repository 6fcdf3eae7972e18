/** Collects what cannot be carried over: what happens in several places is one warning that names all of them. */
export interface Warnings {
  /** Something in a line of the file, or in the lines from one to another. */
  atLine(line: number | readonly [number, number], message: string): void
  /** Something of a VM, or of another part that has a name. */
  about(place: string, message: string): void
  /** One text for each message, in the order in which they came up. */
  list(): readonly string[]
}

interface Entry {
  readonly lines: Set<number>
  readonly places: Set<string>
}

export const collectWarnings = (): Warnings => {
  const entries = new Map<string, Entry>()
  const entryOf = (message: string): Entry => {
    const entry = entries.get(message) ?? {lines: new Set(), places: new Set()}
    entries.set(message, entry)
    return entry
  }
  return {
    atLine(line, message) {
      const [first, last] = typeof line === 'number' ? [line, line] : line
      const {lines} = entryOf(message)
      for (let number = first; number <= last; number++) lines.add(number)
    },
    about(place, message) {
      entryOf(message).places.add(place)
    },
    list: () =>
      [...entries].map(([message, {lines, places}]) => {
        const where = [...(lines.size > 0 ? [lineWords(lines)] : []), ...(places.size > 0 ? [[...places].join(', ')] : [])]
        return where.length === 0 ? message : `${where.join(', ')}: ${message}`
      }),
  }
}

/** `line 3`, `lines 3, 5-8`. */
const lineWords = (lines: ReadonlySet<number>): string => {
  const runs: [number, number][] = []
  for (const line of [...lines].toSorted((a, b) => a - b)) {
    const last = runs.at(-1)
    if (last && last[1] === line - 1) last[1] = line
    else runs.push([line, line])
  }
  const words = runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  return `${lines.size === 1 ? 'line' : 'lines'} ${words.join(', ')}`
}
