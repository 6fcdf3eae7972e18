/** What is told while an image is made ready. `source` is the path or the URL, without credentials and query values. */
export type ImageEvent =
  /** Another process fetches the same image; its result will be used. */
  | {readonly type: 'image.waiting'; readonly source: string; readonly holder: string}
  /** So many downloads go on, or so many from this host, that it waits for one of them to end. */
  | {readonly type: 'image.queued'; readonly source: string}
  /** At most 10 times a second, and at the end. Includes what an earlier, cut run had received. */
  | {readonly type: 'image.progress'; readonly source: string; readonly receivedBytes: number; readonly totalBytes?: number}
  | {readonly type: 'image.retrying'; readonly source: string; readonly reason: string}
  /** Compressed bytes; as often as `image.progress`. */
  | {readonly type: 'image.decompressing'; readonly source: string; readonly readBytes: number; readonly totalBytes: number}
  /** A disk is packed for its way to a registry; as often as `image.progress`. */
  | {readonly type: 'image.packing'; readonly source: string; readonly readBytes: number; readonly totalBytes: number}
  /** What the registry has of it, an earlier, cut run included; as often as `image.progress`. */
  | {readonly type: 'image.pushing'; readonly source: string; readonly sentBytes: number; readonly totalBytes: number}
  /** `sentBytes` are those of this run: 0 when the registry had all of it. */
  | {readonly type: 'image.pushed'; readonly source: string; readonly sentBytes: number; readonly sizeBytes: number}
  /** An image is built from packages; what is being done now, in words. */
  | {readonly type: 'image.building'; readonly source: string; readonly phase: string}
  /** `isFresh` is false when everything was there already. */
  | {
      readonly type: 'image.ready'
      readonly source: string
      readonly path: string
      readonly isFresh: boolean
      /** What it was compared with, for people: `its sha256`, the URL of a list, `the signature of …`. Absent when with nothing. */
      readonly verifiedBy?: string
    }

export type ImageListener = (event: ImageEvent) => void

const intervalMs = 100

/** Passes on the first call, then one per 100 ms, and every one that `isLast` recognises. */
export const throttled = <T>(report: (value: T) => void, isLast: (value: T) => boolean): ((value: T) => void) => {
  let next = 0
  return (value) => {
    const now = performance.now()
    if (now < next && !isLast(value)) return
    next = now + intervalMs
    report(value)
  }
}
