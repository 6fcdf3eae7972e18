/** What a status belongs to: it ends with that. */
export type Owner = 'action' | 'guest' | 'health' | 'step' | 'image' | 'copy'

/** What is being done now, for each VM: the innermost of the things that have begun and not ended. */
export interface Statuses {
  /** Says what is being done; the time of an owner runs on from its first text. */
  set(vm: string, owner: Owner, text: string): void
  /** Ends an owner, with all that began within it; without an owner, everything of the VM. */
  end(vm: string, owner?: Owner): void
  /** `web: booting 12s · db: creating 1s`; empty when nothing is being done. */
  line(now: number): string
}

interface Status {
  readonly owner: Owner
  readonly since: number
  text: string
}

export const statuses = (now: () => number = () => performance.now()): Statuses => {
  const open = new Map<string, Status[]>()
  return {
    set(vm, owner, text) {
      const stack = open.get(vm) ?? []
      open.set(vm, stack)
      const known = stack.find((status) => status.owner === owner)
      if (known) known.text = text
      else stack.push({owner, text, since: now()})
    },
    end(vm, owner) {
      const stack = open.get(vm) ?? []
      const at = owner === undefined ? 0 : stack.findIndex((status) => status.owner === owner)
      if (at !== -1) stack.length = at
      if (stack.length === 0) open.delete(vm)
    },
    line: (at) =>
      [...open]
        .map(([vm, stack]) => {
          const status = stack.at(-1)
          return status ? `${vm === '' ? '' : `${vm}: `}${status.text} ${Math.floor((at - status.since) / 1000)}s` : ''
        })
        .join(' · '),
  }
}
