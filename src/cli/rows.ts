/** What a status belongs to: it ends with that. */
export type Owner = 'lock' | 'verb' | 'action' | 'guest' | 'health' | 'step' | 'image' | 'copy'

export type Mark = 'waiting' | 'working' | 'done' | 'failed'

/** What is shown of one VM. */
export interface Row {
  /** Empty for what belongs to no VM. */
  readonly name: string
  readonly mark: Mark
  readonly text: string
  /** What the guest itself says, or more of the result; shown where there is room. */
  readonly detail: string
  /** How many others it still waits for. */
  readonly awaited: number
  /** Milliseconds since the work on it began; absent while it has not. */
  readonly elapsedMs?: number
}

/** Somebody that a VM waits for. */
export interface Awaiting {
  readonly vm: string
  readonly text: string
}

/** What is being done now to each VM, and what has become of it. */
export interface Rows {
  /** A VM whose turn will come. Its row stays to the end. */
  queue(vm: string, awaited: readonly Awaiting[]): void
  /** The work on it begins; its time runs from here. */
  begin(vm: string): void
  /** Says what is being done: the innermost of what has begun and not ended is shown. */
  set(vm: string, owner: Owner, text: string): void
  /** What the guest says meanwhile, while that owner is shown. */
  detail(vm: string, owner: Owner, text: string): void
  /** Ends an owner, with all that began within it; without an owner, everything of the VM. */
  end(vm: string, owner?: Owner): void
  /** The work is over, for a VM that was queued. */
  finish(vm: string, result: {readonly mark: 'done' | 'failed'; readonly text: string; readonly detail?: string}): void
  /** Whatever is not over by now has come to this. */
  finishAll(text: string, neverBegun: string): void
  /** Whether the row of a VM stays when nothing is done any longer. */
  isKept(vm: string): boolean
  all(): readonly Row[]
}

interface Status {
  readonly owner: Owner
  text: string
  detail: string
}

interface Entry {
  mark: Mark
  awaited: readonly Awaiting[]
  isKept: boolean
  open: Status[]
  /** The text is shown also between two statuses. */
  shown: Pick<Row, 'text' | 'detail'>
  beganAt?: number
  endedAt?: number
}

export const openRows = (now: () => number = () => performance.now()): Rows => {
  const entries = new Map<string, Entry>()
  const entryOf = (vm: string): Entry => {
    const known = entries.get(vm)
    if (known) return known
    const entry: Entry = {mark: 'waiting', awaited: [], isKept: false, open: [], shown: {text: 'checking', detail: ''}}
    entries.set(vm, entry)
    return entry
  }
  const begin = (entry: Entry): void => {
    if (isOver(entry)) return
    entry.mark = 'working'
    entry.beganAt ??= now()
  }
  const finish = (entry: Entry, mark: Mark, shown: Entry['shown']): void => {
    Object.assign(entry, {mark, shown, open: [], endedAt: now()})
  }
  const awaitedBy = ({awaited}: Entry): readonly Awaiting[] => awaited.filter(({vm}) => !isOver(entries.get(vm)))
  const textOf = (entry: Entry): Pick<Row, 'text' | 'detail'> => {
    const {mark, open, shown} = entry
    if (mark === 'waiting' && !isOver(entry)) {
      const left = awaitedBy(entry)
      return {text: left.length > 0 ? `waiting for ${left.map(({text}) => text).join(', ')}` : 'waiting for its turn', detail: ''}
    }
    return open.at(-1) ?? shown
  }
  const rowOf = ([name, entry]: readonly [string, Entry]): Row => {
    const {mark, beganAt, endedAt} = entry
    const {text, detail} = textOf(entry)
    return {
      name,
      mark,
      text,
      detail,
      awaited: awaitedBy(entry).length,
      ...(beganAt !== undefined && {elapsedMs: (endedAt ?? now()) - beganAt}),
    }
  }
  return {
    queue(vm, awaited) {
      entries.delete(vm)
      Object.assign(entryOf(vm), {awaited, isKept: true})
    },
    begin(vm) {
      begin(entryOf(vm))
    },
    set(vm, owner, text) {
      const entry = entryOf(vm)
      if (isOver(entry)) return
      begin(entry)
      const known = entry.open.find((status) => status.owner === owner)
      if (known) known.text = text
      else entry.open.push({owner, text, detail: ''})
      entry.shown = {text, detail: ''}
    },
    detail(vm, owner, text) {
      const known = entries.get(vm)?.open.find((status) => status.owner === owner)
      if (known) known.detail = text
    },
    end(vm, owner) {
      const entry = entries.get(vm)
      if (!entry) return
      const at = owner === undefined ? 0 : entry.open.findIndex((status) => status.owner === owner)
      if (at !== -1) entry.open.length = at
      if (entry.open.length === 0 && !entry.isKept) entries.delete(vm)
    },
    finish(vm, {mark, text, detail = ''}) {
      const entry = entries.get(vm)
      if (entry?.isKept && !isOver(entry)) finish(entry, mark, {text, detail})
    },
    finishAll(text, neverBegun) {
      for (const [name, entry] of entries) {
        if (!entry.isKept) entries.delete(name)
        else if (entry.mark === 'working') finish(entry, 'failed', {text, detail: ''})
        else if (entry.mark === 'waiting') finish(entry, 'waiting', {text: neverBegun, detail: ''})
      }
    },
    isKept: (vm) => entries.get(vm)?.isKept ?? false,
    all: () => [...entries].map(rowOf),
  }
}

const isOver = (entry: Entry | undefined): boolean => entry?.endedAt !== undefined
