import {createHash} from 'node:crypto'

/**
 * Hashes a password as crypt(5) does with `$6$`: SHA-512-crypt with 5000 rounds ("Unix crypt using SHA-256 and SHA-512",
 * U. Drepper, version 0.6).
 * @param salt up to 16 characters of `./0-9A-Za-z`
 * @returns `$6$SALT$HASH`
 */
export const sha512Crypt = (password: string, salt: string): string => {
  if (!/^[./0-9A-Za-z]{1,16}$/.test(salt)) throw new RangeError('A salt has 1 to 16 characters of ./0-9A-Za-z.')
  const key = Buffer.from(password)
  const saltBytes = Buffer.from(salt)
  let digest = firstDigest(key, saltBytes)
  const p = stretch(sha512(...Array.from({length: key.length}, () => key)), key.length)
  const s = stretch(sha512(...Array.from({length: 16 + (digest[0] ?? 0)}, () => saltBytes)), saltBytes.length)
  for (let round = 0; round < rounds; round++) {
    const isOdd = round % 2 === 1
    digest = sha512(isOdd ? p : digest, ...(round % 3 === 0 ? [] : [s]), ...(round % 7 === 0 ? [] : [p]), isOdd ? digest : p)
  }
  return `$6$${salt}$${encode(digest)}`
}

const rounds = 5000
const hashBytes = 64

const sha512 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha512')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** The digest, repeated and cut to a length. */
const stretch = (digest: Buffer, length: number): Buffer => Buffer.alloc(length, digest)

/** Steps 1 to 12. */
const firstDigest = (key: Buffer, salt: Buffer): Buffer => {
  const alternate = sha512(key, salt, key)
  const parts: Buffer[] = [key, salt, stretch(alternate, key.length)]
  for (let bits = key.length; bits > 0; bits = Math.floor(bits / 2)) parts.push(bits % 2 === 1 ? alternate : key)
  return sha512(...parts)
}

const alphabet = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Step 22: groups of three bytes, 21 apart and turned by one from group to group, as four characters, low bits first. */
const encode = (digest: Buffer): string => {
  let text = ''
  const emit = (bytes: readonly number[], count: number): void => {
    let value = bytes.reduce((all, index) => all * 256 + (digest[index] ?? 0), 0)
    for (let character = 0; character < count; character++) {
      text += alphabet[value % 64]
      value = Math.floor(value / 64)
    }
  }
  for (let group = 0; group < 21; group++) {
    const indexes = [group, group + 21, group + 42]
    const turn = group % 3
    emit([...indexes.slice(turn), ...indexes.slice(0, turn)], 4)
  }
  emit([hashBytes - 1], 2)
  return text
}
