/** Shorter values are words that occur everywhere; masking them would make the output unreadable and hide nothing. */
const shortest = 4

export interface Masking {
  /** The bytes with every secret in them replaced. The beginning of one at the end is held back until more is known. */
  next(chunk: Uint8Array): Buffer
  /** What was held back. */
  end(): Buffer
}

/**
 * Replaces secrets in a stream of output by asterisks: best effort, since a program may print one in another form (encoded,
 * in pieces, line by line). As many as the secret has bytes: what is logged is also how far a step was followed.
 */
export const masking = (values: readonly string[]): Masking => {
  // The longest first: one may be the beginning of another.
  const secrets = values
    .filter((value) => value.length >= shortest)
    .map((value) => Buffer.from(value))
    .toSorted((a, b) => b.length - a.length)
  let held = Buffer.alloc(0)
  const advance = (bytes: Buffer, isEnd: boolean): Buffer => {
    const out: Buffer[] = []
    let rest = bytes
    for (;;) {
      const found = earliest(rest, secrets)
      const undecided = isEnd ? rest.length : beginningAtEnd(rest, secrets)
      // A secret that may turn out to be the beginning of a longer one waits too.
      if (!found || undecided <= found.at) {
        held = Buffer.from(rest.subarray(undecided))
        return Buffer.concat([...out, rest.subarray(0, undecided)])
      }
      out.push(rest.subarray(0, found.at), Buffer.alloc(found.length, '*'))
      rest = rest.subarray(found.at + found.length)
    }
  }
  return {
    next: (chunk) => advance(Buffer.concat([held, chunk]), false),
    end: () => advance(held, true),
  }
}

const earliest = (bytes: Buffer, secrets: readonly Buffer[]): {at: number; length: number} | undefined => {
  let best: {at: number; length: number} | undefined
  for (const secret of secrets) {
    const at = bytes.indexOf(secret)
    if (at !== -1 && (best === undefined || at < best.at)) best = {at, length: secret.length}
  }
  return best
}

/** Where the beginning of a secret begins that the end of the bytes cuts off; their length when there is none. */
const beginningAtEnd = (bytes: Buffer, secrets: readonly Buffer[]): number => {
  let at = bytes.length
  for (const secret of secrets) {
    for (let length = Math.min(secret.length - 1, bytes.length); length > bytes.length - at; length--) {
      if (bytes.subarray(bytes.length - length).equals(secret.subarray(0, length))) at = bytes.length - length
    }
  }
  return at
}
