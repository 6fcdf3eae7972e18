import {createPublicKey, type KeyObject, verify} from 'node:crypto'

import type {Key} from 'openpgp'

import {messageOf} from '../../model/errors.ts'
import {BadSignature, type Verified} from './signature.ts'

/** A signature packet of version 3 (RFC 4880, 5.2.2), as openSUSE's build service writes them. */
export interface OldSignature {
  readonly type: number
  /** Seconds since 1970. */
  readonly created: number
  readonly keyId: string
  readonly algorithm: number
  readonly hash: number
  readonly start: Buffer
  readonly value: Buffer
}

/** By their numbers in RFC 4880, 9.4; the weaker ones are not there. */
const hashes: Readonly<Record<number, string>> = {8: 'sha256', 9: 'sha384', 10: 'sha512'}
const rsa = new Set([1, 3])

/** The one signature packet of version 3 that some bytes consist of; undefined when they are anything else. */
export const readOldSignature = (bytes: Uint8Array): OldSignature | undefined => {
  const body = soleSignaturePacket(Buffer.from(bytes))
  if (!body || body.length < 21 || body[0] !== 3 || body[1] !== 5) return undefined
  const bits = body.readUInt16BE(19)
  const value = body.subarray(21)
  if (value.length !== Math.ceil(bits / 8)) return undefined
  return {
    type: body.readUInt8(2),
    created: body.readUInt32BE(3),
    keyId: body.subarray(7, 15).toString('hex'),
    algorithm: body.readUInt8(15),
    hash: body.readUInt8(16),
    start: body.subarray(17, 19),
    value,
  }
}

/** The body of a signature packet (tag 2) in the old format of lengths, or the new one, when nothing follows it. */
const soleSignaturePacket = (bytes: Buffer): Buffer | undefined => {
  const first = bytes[0] ?? 0
  const isNew = (first & 0xc0) === 0xc0
  const tag = isNew ? first & 0x3f : (first >> 2) & 0x0f
  if ((first & 0x80) === 0 || tag !== 2) return undefined
  const header = isNew ? newLength(bytes) : oldLength(bytes, first & 3)
  return header && bytes.length === header.size + header.length ? bytes.subarray(header.size) : undefined
}

interface Header {
  readonly size: number
  readonly length: number
}

const oldLength = (bytes: Buffer, kind: number): Header | undefined => {
  if (kind === 0 && bytes.length > 1) return {size: 2, length: bytes.readUInt8(1)}
  if (kind === 1 && bytes.length > 2) return {size: 3, length: bytes.readUInt16BE(1)}
  return undefined
}

const newLength = (bytes: Buffer): Header | undefined => {
  const first = bytes[1] ?? 255
  if (first < 192) return {size: 2, length: first}
  return first < 224 && bytes.length > 2 ? {size: 3, length: ((first - 192) << 8) + bytes.readUInt8(2) + 192} : undefined
}

/**
 * Verifies such a signature over a binary document. Only RSA is known to be in use.
 * @throws BadSignature
 */
export const verifyOldSignature = async (content: Uint8Array, signature: OldSignature, keys: readonly Key[]): Promise<Verified> => {
  const hash = hashes[signature.hash]
  if (signature.type !== 0 || !rsa.has(signature.algorithm)) throw new BadSignature('is of a kind that vmctl does not know')
  if (hash === undefined) throw new BadSignature('rests on a digest that is too weak')
  const signedAt = new Date(signature.created * 1000)
  if (signedAt.getTime() > Date.now()) throw new BadSignature('is of the future')
  const {owner, modulus, publicKey} = await signerOf(signature.keyId, signedAt, keys)
  const time = Buffer.alloc(5)
  time.writeUInt8(signature.type, 0)
  time.writeUInt32BE(signature.created, 1)
  // An MPI has no leading zeros; the signature has as many bytes as the modulus.
  const value = Buffer.concat([Buffer.alloc(Math.max(0, modulus.length - signature.value.length)), signature.value])
  const isGood = verify(hash, Buffer.concat([content, time]), publicKey, value)
  if (!isGood) throw new BadSignature('does not belong to what it is said to sign')
  const ends = await owner.getExpirationTime()
  const ended = ends instanceof Date && ends.getTime() < Date.now() ? {keyEndedAt: ends} : {}
  return {content, fingerprint: owner.getFingerprint().toUpperCase(), signedAt, ...ended}
}

/** The key that is said to have signed, when it might do so at that time: not revoked, not expired, and made for signing. */
const signerOf = async (
  keyId: string,
  signedAt: Date,
  keys: readonly Key[],
): Promise<{readonly owner: Key; readonly modulus: Uint8Array; readonly publicKey: KeyObject}> => {
  for (const owner of keys) {
    const key = owner.getKeys().find((each) => each.getKeyID().toHex() === keyId)
    if (!key) continue
    await owner.getSigningKey(key.getKeyID(), signedAt).catch((error: unknown) => {
      throw new BadSignature(`is refused: ${messageOf(error).replace(/\.$/, '')}`, true)
    })
    const {n, e} = (key.keyPacket.publicParams ?? {}) as {n?: Uint8Array; e?: Uint8Array}
    if (!n || !e) throw new BadSignature('is of another kind than its key')
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
    return {owner, modulus: n, publicKey: createPublicKey({key: {kty: 'RSA', n: base64(n), e: base64(e)}, format: 'jwk'})}
  }
  throw new BadSignature('is signed by another key', true)
}
