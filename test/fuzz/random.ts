/** A source of random numbers that gives the same ones for the same seed. */
export interface Random {
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number
  /** True once in `times` calls, on average. */
  oneIn(times: number): boolean
  pick<T>(from: readonly T[]): T
}

/** xorshift128 (Marsaglia, "Xorshift RNGs", 2003), spread from one number by a linear congruence. */
export const createRandom = (seed: number): Random => {
  let spread = seed >>> 0
  const next = (): number => {
    spread = (Math.imul(spread, 1_664_525) + 1_013_904_223) >>> 0
    return spread
  }
  const state = Uint32Array.from([next(), next(), next(), next() | 1])
  const word = (): number => {
    const [x = 0, y = 0, z = 0, w = 0] = state
    const mixed = x ^ (x << 11)
    state.set([y, z, w, w ^ (w >>> 19) ^ mixed ^ (mixed >>> 8)])
    return state[3] ?? 0
  }
  const below = (limit: number): number => word() % Math.max(1, limit)
  return {
    below,
    oneIn: (times) => below(times) === 0,
    pick: <T>(from: readonly T[]): T => {
      const chosen = from[below(from.length)]
      if (chosen === undefined) throw new RangeError('There is nothing to pick from.')
      return chosen
    },
  }
}

// What has hurt others: separators, options, quotes, line ends, NUL, escapes, direction overrides, look-alikes, halves of pairs.
const marks = '/\\-.,=:;@%$`\'"!*?&|<>(){}[]~# \t\n\r\0\u001B\u007F\u0085\u00A0\u00AD\u200B\u202E\u2028\uFEFFıſKäа0'
const odd = [...Array.from(marks), '..', '../', '\uD800', '💻']

/** A text of `length` parts of `plain`, with few or many of those in between that programs stumble over. */
export const hostileText = (random: Random, {plain, length}: {readonly plain: readonly string[]; readonly length: number}): string => {
  const oddity = random.pick([2, 20, 1000])
  return Array.from({length}, () => random.pick(random.oneIn(oddity) ? odd : plain)).join('')
}
