import type {Key} from 'openpgp'

import {messageOf} from '../../model/errors.ts'
import {readOldSignature, verifyOldSignature} from './openpgp-v3.ts'
import {BadSignature, type Verified} from './signature.ts'

/** Most commands verify nothing, and the library takes 50 ms to load. */
const load = () => import('openpgp')

const armored = /-----BEGIN PGP PUBLIC KEY BLOCK-----[\s\S]*?-----END PGP PUBLIC KEY BLOCK-----/g

/** The key of a fingerprint among all that a file holds, armored; undefined when it is not there. */
export const chooseKey = async (bytes: Uint8Array, fingerprint: string): Promise<string | undefined> => {
  const {readKeys} = await load()
  const text = Buffer.from(bytes).toString('latin1')
  // The library reads the first of several armored blocks only.
  const blocks = text.match(armored) ?? []
  const readers =
    blocks.length > 0 ? blocks.map((block) => () => readKeys({armoredKeys: block})) : [() => readKeys({binaryKeys: new Uint8Array(bytes)})]
  for (const read of readers) {
    // A file may hold keys that the library does not know yet beside the one that is wanted, or be no key at all.
    const keys = await read().catch(() => [])
    const found = keys.find((key) => fingerprintOf(key) === fingerprint)
    if (found) return found.armor()
  }
  return undefined
}

/**
 * Verifies a detached signature over `content`.
 * @param armoredKeys keys whose fingerprints have been compared with pinned ones; a signature of any other proves nothing
 * @throws BadSignature
 */
export const verifyDetached = async (content: Uint8Array, signature: Uint8Array, armoredKeys: readonly string[]): Promise<Verified> => {
  const {createMessage, readSignature, verify, unarmor} = await load()
  const keys = await readAll(armoredKeys)
  const text = Buffer.from(signature).toString('latin1')
  const isArmored = text.trimStart().startsWith('-----BEGIN PGP SIGNATURE-----')
  let binary: Uint8Array
  try {
    binary = isArmored ? ((await unarmor(text)).data as Uint8Array) : new Uint8Array(signature)
  } catch (error) {
    throw new BadSignature(`cannot be read as a signature: ${messageOf(error)}`)
  }
  // The library passes over signature packets of version 3 without a word.
  const old = readOldSignature(binary)
  if (old) return verifyOldSignature(content, old, keys)
  const read = await readSignature({binarySignature: binary}).catch((error: unknown) => {
    throw new BadSignature(`cannot be read as a signature: ${messageOf(error)}`)
  })
  const message = await createMessage({binary: new Uint8Array(content)})
  const {signatures} = await verify({message, signature: read, verificationKeys: [...keys], format: 'binary'})
  return {content, ...(await anyGood(signatures, keys))}
}

/**
 * Verifies a clear-signed message.
 * @throws BadSignature
 */
export const verifyClearsigned = async (text: string, armoredKeys: readonly string[]): Promise<Verified> => {
  const {readCleartextMessage, verify} = await load()
  const keys = await readAll(armoredKeys)
  if (!text.includes('-----BEGIN PGP SIGNED MESSAGE-----')) throw new BadSignature('has no signed message in it')
  const message = await readCleartextMessage({cleartextMessage: text}).catch((error: unknown) => {
    throw new BadSignature(`cannot be read as a signed message: ${messageOf(error)}`)
  })
  const {data, signatures} = await verify({message, verificationKeys: [...keys]})
  return {content: Buffer.from(data), ...(await anyGood(signatures, keys))}
}

const readAll = async (armoredKeys: readonly string[]): Promise<readonly Key[]> => {
  const {readKey} = await load()
  return Promise.all(armoredKeys.map((armoredKey) => readKey({armoredKey})))
}

interface Checked {
  readonly keyID: {toHex(): string}
  readonly verified: Promise<true>
  readonly signature: Promise<{readonly packets: readonly {readonly created: Date | null}[]}>
}

/** One good signature is enough, and none is none: an empty list must not look like success. */
const anyGood = async (signatures: readonly Checked[], keys: readonly Key[]): Promise<Omit<Verified, 'content'>> => {
  const problems: string[] = []
  for (const {keyID, verified, signature} of signatures) {
    try {
      await verified
      const key = keys.find((each) => each.getKeys(keyID as never).length > 0)
      const signedAt = (await signature).packets[0]?.created
      if (key && signedAt) return {fingerprint: fingerprintOf(key), signedAt, ...(await endOf(key, keyID))}
    } catch (error) {
      problems.push(messageOf(error))
    }
  }
  if (problems.length === 0) throw new BadSignature('has no signature in it that can be checked')
  const isForeign = problems.every((problem) => /could not find signing key/i.test(problem))
  throw new BadSignature(
    isForeign ? 'is signed by another key' : wording(problems),
    isForeign || problems.some((problem) => /expired|subkey/i.test(problem)),
  )
}

const wording = (problems: readonly string[]): string =>
  problems.some((problem) => /digest did not match/i.test(problem))
    ? 'does not belong to what it is said to sign'
    : `is refused: ${problems.join('; ').replace(/\.$/, '')}`

/** When the key that made a signature ended, if that is past. */
const endOf = async (key: Key, keyID: {toHex(): string}): Promise<{keyEndedAt?: Date}> => {
  const signer = key.getKeys(keyID as never)[0]
  const ends = [await key.getExpirationTime(), signer && signer !== key ? await signer.getExpirationTime() : null]
  const past = ends.filter((end): end is Date => end instanceof Date && end.getTime() < Date.now())
  return past[0] ? {keyEndedAt: past[0]} : {}
}

const fingerprintOf = (key: Key): string => key.getFingerprint().toUpperCase()
