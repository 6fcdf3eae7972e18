import {createHash} from 'node:crypto'

/** A password in the form of crypt(5): hashes stay as they are, everything else is hashed with SHA-512. */
export const passwordHash = (password: string, vm: string): string => {
  if (/^\$[0-9a-z]+\$[^:\s]+$/.test(password)) return password
  // The salt is the same at every reading: a new one would look like a new password. It differs between VMs, and tells nothing.
  const salt = createHash('sha256').update(`vmctl ${vm}`).digest('base64url').replaceAll(/[-_]/g, '.').slice(0, 16)
  return sha512Crypt(password, salt)
}

/** How the bytes of the digest are written, three at a time (Drepper, "Unix crypt using SHA-256 and SHA-512", step 22). */
const order: readonly (readonly [number, number, number])[] = Array.from({length: 21}, (_, index) => {
  const triple = [index, index + 21, index + 42] as const
  const [a, b, c] = triple
  const rotated = [triple, [b, c, a], [c, a, b]] as const
  return rotated[index % 3] ?? triple
})

const alphabet = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

const encode = (value: number, characters: number): string =>
  Array.from({length: characters}, (_, index) => alphabet[(value >>> (6 * index)) & 63]).join('')

const rounds = 5000

/** The method `$6$` of crypt(5) with the standard number of rounds (the specification named above; its steps are in the comments). */
export const sha512Crypt = (password: string, salt: string): string => {
  const key = Buffer.from(password, 'utf8')
  const seasoning = Buffer.from(salt, 'utf8')
  const digest = (...parts: readonly Buffer[]): Buffer => {
    const hash = createHash('sha512')
    for (const part of parts) hash.update(part)
    return hash.digest()
  }
  /** The first bytes of the digest, repeated. */
  const stretch = (source: Buffer, length: number): Buffer => Buffer.alloc(length, source)
  // Steps 4–8, then 1–3 and 9–12.
  const other = digest(key, seasoning, key)
  const bits: Buffer[] = []
  for (let length = key.length; length > 0; length >>= 1) bits.push(length & 1 ? other : key)
  let current = digest(key, seasoning, stretch(other, key.length), ...bits)
  // Steps 13–20.
  const p = stretch(digest(...Array.from({length: key.length}, () => key)), key.length)
  const s = stretch(digest(...Array.from({length: 16 + (current[0] ?? 0)}, () => seasoning)), seasoning.length)
  // Step 21.
  for (let round = 0; round < rounds; round++) {
    current = digest(round & 1 ? p : current, ...(round % 3 === 0 ? [] : [s]), ...(round % 7 === 0 ? [] : [p]), round & 1 ? current : p)
  }
  const triples = order.map(([a, b, c]) => encode(((current[a] ?? 0) << 16) | ((current[b] ?? 0) << 8) | (current[c] ?? 0), 4))
  return `$6$${salt}$${triples.join('')}${encode(current[63] ?? 0, 2)}`
}
