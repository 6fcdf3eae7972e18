/** How a server wants to know who asks. */
export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string
  readonly realm: string | undefined
  readonly service: string | undefined
}

const known = ['bearer', 'basic']

/** One piece of a header: a scheme, or a parameter with a value in quotes or without. */
const piece = /\s*,?\s*(?:(?<name>[\w-]+)\s*=\s*(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<plain>[^\s,"]+))|(?<scheme>[A-Za-z]+))/y

/** The challenges of a `WWW-Authenticate` header (RFC 9110, 11.6.1) that can be answered, a token before a password. */
export const parseChallenges = (header: string): readonly Challenge[] => {
  const found: {scheme: string; parameters: Map<string, string>}[] = []
  piece.lastIndex = 0
  for (let match = piece.exec(header); match; match = piece.exec(header)) {
    const {name, quoted, plain, scheme} = match.groups ?? {}
    if (scheme !== undefined) found.push({scheme: scheme.toLowerCase(), parameters: new Map()})
    else found.at(-1)?.parameters.set((name ?? '').toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '')
  }
  return found
    .filter(({scheme}) => known.includes(scheme))
    .map(({scheme, parameters}) => ({scheme, realm: parameters.get('realm'), service: parameters.get('service')}))
    .toSorted((left, right) => known.indexOf(left.scheme) - known.indexOf(right.scheme))
}
