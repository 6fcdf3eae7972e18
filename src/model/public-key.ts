export interface PublicKey {
  readonly type: string
  /** The key in its wire form (RFC 4253, 6.6), which is also what a server shows in a key exchange. */
  readonly blob: Buffer
  readonly comment: string
}

/**
 * Reads a line of a `.pub` file. Options in front, as in authorized_keys, are not understood.
 * @returns undefined when the line is not a public key
 */
export const parsePublicKeyLine = (line: string): PublicKey | undefined => {
  const match = /^(\S+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+(.*))?$/.exec(line.trim())
  const [, type, base64, comment] = match ?? []
  if (type === undefined || base64 === undefined) return undefined
  const blob = Buffer.from(base64, 'base64')
  return keyTypeOf(blob) === type ? {type, blob, comment: comment ?? ''} : undefined
}

/** The type that a key in wire form names (`ssh-ed25519`, …), or undefined when the bytes are not a key. */
export const keyTypeOf = (blob: Buffer): string | undefined => {
  const length = blob.length >= 4 ? blob.readUInt32BE(0) : 0
  const type = blob.length > 4 + length ? blob.toString('latin1', 4, 4 + length) : ''
  return /^[a-z0-9@.-]+$/.test(type) ? type : undefined
}

/** What a text that should be a key turns out to be. */
export type KeyText = 'public' | 'private' | 'neither'

/** Types of keys that let somebody in; a certificate does not by itself. */
const keyType = /^(?:ssh-[a-z0-9-]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+)$/

/** Recognises a literal key among paths: the type, then a blank. */
export const isLiteralKey = (text: string): boolean => /^(?:ssh|ecdsa|sk)-\S*\s/.test(text)

/** One public key in OpenSSH form that can be put into authorized_keys. */
export const isPublicKey = (line: string): boolean => keyType.test(parsePublicKeyLine(line)?.type ?? '')

/** The keys of a public key file or of authorized_keys, without blank lines and comments. */
export const keyLines = (text: string): readonly string[] =>
  text
    .split(/\r\n|\n|\r/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))

/** Whether a file holds public keys, a private key, or something else. */
export const classifyKeys = (text: string): KeyText => {
  if (/-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|^PuTTY-User-Key-File-/m.test(text)) return 'private'
  const lines = keyLines(text)
  return lines.length > 0 && lines.every(isPublicKey) ? 'public' : 'neither'
}
