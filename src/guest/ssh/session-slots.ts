/** A turn to open a session. */
export interface Slot {
  /** True when this turn was waited for, so that by all we know there is room. */
  readonly waited: boolean
  release(): void
  /** Tells that the server refused a session: fewer may be open at once than now are. */
  refused(): void
}

/**
 * Keeps the number of open sessions below the server's limit, which it does not tell (MaxSessions of sshd_config(5),
 * ten by default): the first refusal teaches it, and from then on further sessions wait for their turn, in order.
 */
export const sessionSlots = (): (() => Promise<Slot>) => {
  let limit = Number.POSITIVE_INFINITY
  let inUse = 0
  const waiting: (() => void)[] = []
  const admit = (): void => {
    while (inUse < limit) {
      const next = waiting.shift()
      if (!next) return
      inUse++
      next()
    }
  }
  const slot = (waited: boolean): Slot => ({
    waited,
    release() {
      inUse--
      admit()
    },
    refused() {
      limit = Math.min(limit, Math.max(1, inUse - 1))
    },
  })
  return async () => {
    if (inUse < limit && waiting.length === 0) {
      inUse++
      return slot(false)
    }
    await new Promise<void>((resolve) => {
      waiting.push(resolve)
    })
    return slot(true)
  }
}
