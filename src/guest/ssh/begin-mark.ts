/** One output of a command, without what came before the mark that `anyShell` writes first. */
export interface MarkedOutput {
  readonly isBegun: () => boolean
  /** What of a chunk comes after the mark; undefined when it has nothing of that. */
  take(chunk: Buffer): Buffer | undefined
  /** The beginning of what came before the mark. */
  readonly said: () => string
}

/** Enough for a few lines. */
const saidBytes = 1024

/** @param mark absent when all of it is output of the command */
export const markedOutput = (mark: string | undefined): MarkedOutput => {
  const line = Buffer.from(`${mark}\n`)
  let isBegun = mark === undefined
  let said: Buffer = Buffer.alloc(0)
  // Where two chunks meet there may be a mark.
  let seam: Buffer = Buffer.alloc(0)
  const keep = (bytes: Buffer): void => {
    if (said.length < saidBytes) said = Buffer.concat([said, bytes.subarray(0, saidBytes - said.length)])
  }
  return {
    isBegun: () => isBegun,
    said: () => said.toString(),
    take(chunk) {
      if (isBegun) return chunk
      const bytes = seam.length === 0 ? chunk : Buffer.concat([seam, chunk])
      const at = bytes.indexOf(line)
      if (at === -1) {
        keep(chunk)
        seam = bytes.subarray(Math.max(0, bytes.length - line.length + 1))
        return undefined
      }
      isBegun = true
      const rest = bytes.subarray(at + line.length)
      return rest.length === 0 ? undefined : rest
    },
  }
}
