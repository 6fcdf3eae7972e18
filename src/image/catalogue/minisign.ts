import {createHash, createPublicKey, type KeyObject, verify} from 'node:crypto'

import {BadSignature, type Verified} from './signature.ts'

/** DER of a SubjectPublicKeyInfo for Ed25519 up to the key (RFC 8410, section 4), which node:crypto wants around it. */
const spkiStart = Buffer.from('302a300506032b6570032100', 'hex')

const idBytes = 8
const headBytes = 2 + idBytes
const signatureBytes = 64

/**
 * Verifies a minisign signature of a file, the trusted comment included, which the second signature covers.
 * Format: https://jedisct1.github.io/minisign/, "Signature format"; `Ed` signs the bytes, `ED` their BLAKE2b-512.
 * @param keys public keys as minisign prints them; a signature of any other proves nothing
 * @throws BadSignature
 */
export const verifyMinisign = (content: Buffer, signature: Buffer, keys: readonly string[]): Verified => {
  const {algorithm, id, own, comment, global} = readSignature(signature.toString('utf8'))
  const key = keys.find((one) => Buffer.from(one, 'base64').subarray(2, headBytes).equals(id))
  if (key === undefined) throw new BadSignature('is signed by another key')
  const publicKey = publicKeyOf(key)
  const signed = algorithm === 'ED' ? createHash('blake2b512').update(content).digest() : content
  if (!verify(null, signed, publicKey, own)) throw new BadSignature('does not belong to what it is said to sign')
  if (!verify(null, Buffer.concat([own, Buffer.from(comment)]), publicKey, global)) {
    throw new BadSignature('has a trusted comment that was not signed with it')
  }
  return {content, fingerprint: key}
}

const readSignature = (text: string) => {
  const [, first = '', comment, second = ''] =
    /^untrusted comment:[^\n]*\n([^\n]*)\ntrusted comment: ([^\n]*)\n([^\n]*)\n*$/.exec(text.replaceAll('\r\n', '\n')) ?? []
  const head = Buffer.from(first, 'base64')
  const global = Buffer.from(second, 'base64')
  if (comment === undefined || head.length !== headBytes + signatureBytes || global.length !== signatureBytes) {
    throw new BadSignature('is not a minisign signature')
  }
  const algorithm = head.toString('latin1', 0, 2)
  if (algorithm !== 'Ed' && algorithm !== 'ED') throw new BadSignature(`is of a kind that is not known (${JSON.stringify(algorithm)})`)
  return {algorithm, id: head.subarray(2, headBytes), own: head.subarray(headBytes), comment, global}
}

const publicKeyOf = (key: string): KeyObject =>
  createPublicKey({key: Buffer.concat([spkiStart, Buffer.from(key, 'base64').subarray(headBytes)]), format: 'der', type: 'spki'})
