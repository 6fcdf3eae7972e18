/** A VM name: safe as a file name and as a QEMU name. `..` and `/` cannot occur. */
export const isVmName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name) && !name.includes('..')

export const vmNameRule = 'a name starts with a letter or a digit and has at most 63 of A-Z a-z 0-9 . _ - (without two dots in a row)'

/** A host name of RFC 1123: labels of letters, digits and inner dashes, 253 characters at most. */
export const isHostname = (name: string): boolean =>
  name.length <= 253 && name.split('.').every((label) => /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label))

/** What a VM is called, in parts. */
export interface NameParts {
  readonly project?: string | undefined
  /** As the VMFile calls it. */
  readonly service: string
  /** From 0; absent for a VM without replicas. */
  readonly replica?: number | undefined
}

/** The name in the state directory: `shop.web-0`, without the parts that do not apply. */
export const instanceName = ({project, service, replica}: NameParts): string =>
  `${project === undefined ? '' : `${project}.`}${service}${replica === undefined ? '' : `-${replica}`}`

/** One label of a host name. */
export const isDnsLabel = (name: string): boolean => !name.includes('.') && isHostname(name)

/** A user name that useradd(8) and SSH accept. */
export const isUserName = (name: string): boolean => /^[a-z_][a-z0-9_-]{0,31}$/.test(name)

/** A name by which an existing user may log in, who need not have been made by useradd(8): `first.last`, `me@REALM`. */
export const isLoginName = (name: string): boolean => /^[\w.@+][\w.@+-]{0,255}$/.test(name)

/** The candidate that is closest to a misspelt word, when one is close enough to suggest. */
export const closest = (word: string, candidates: Iterable<string>): string | undefined => {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** What was probably meant, as a question; names stand between quotes as in every message. */
export const didYouMean = (...names: readonly string[]): string => `Did you mean ${names.map((name) => JSON.stringify(name)).join(' or ')}?`

/**
 * Advice for a misspelt name.
 * @param more what to do when it is none of them
 * @returns undefined when no candidate is close enough
 */
export const suggest = (word: string, candidates: Iterable<string>, more = ''): string | undefined => {
  const found = closest(word, candidates)
  return found === undefined ? undefined : `${didYouMean(found)} ${more}`.trimEnd()
}

/** Damerau-Levenshtein distance with adjacent transpositions (optimal string alignment). */
// oxlint-disable-next-line complexity -- The textbook form of the algorithm; `??` counts as a branch, for indexes that always exist.
const editDistance = (left: string, right: string): number => {
  if (Math.abs(left.length - right.length) > 8) return Number.POSITIVE_INFINITY
  const rows: number[][] = [Array.from({length: right.length + 1}, (_, index) => index)]
  for (let i = 1; i <= left.length; i++) {
    const row = [i]
    for (let j = 1; j <= right.length; j++) {
      const cost = left[i - 1] === right[j - 1] ? 0 : 1
      let value = Math.min((rows[i - 1]?.[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (rows[i - 1]?.[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        value = Math.min(value, (rows[i - 2]?.[j - 2] ?? 0) + 1)
      }
      row.push(value)
    }
    rows.push(row)
  }
  return rows[left.length]?.[right.length] ?? Number.POSITIVE_INFINITY
}
