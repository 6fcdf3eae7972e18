/** What is on record of a guest whose memory is on disk. */
export interface Saved {
  /** When it stood still, RFC 3339. */
  readonly savedAt: string
  /** What its memory takes on the host. */
  readonly bytes: number
}
