/** What is on record of a guest whose memory is on disk. */
export interface Saved {
  /** When it stood still, RFC 3339. */
  readonly savedAt: string
  /** What its memory takes on the host. */
  readonly bytes: number
}

interface Outside {
  readonly devices?: readonly unknown[] | undefined
  readonly shares?: readonly unknown[] | undefined
}

/** Why the memory of a guest is not all of its state; undefined when it is, as far as its spec tells. */
export const whyUnsaveable = ({devices = [], shares = []}: Outside): string | undefined => {
  if (devices.length > 0) return 'it has a device of the host, whose state nobody can save'
  return shares.length > 0 ? 'it has shared folders, whose open files are on the host' : undefined
}
