/** What a text that should be a key turns out to be. */
export type KeyText = 'public' | 'private' | 'neither'

const publicKey = /^(ssh-[a-z0-9-]+|ecdsa-sha2-[a-z0-9-]+|sk-[a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t].*)?$/

/** Recognises a literal key among paths: the type, then a blank. */
export const isLiteralKey = (text: string): boolean => /^(?:ssh|ecdsa|sk)-\S*\s/.test(text)

/** One public key in OpenSSH form. The key type stands in the data once more, which tells a key from text that only begins like one. */
export const isPublicKey = (line: string): boolean => {
  const match = publicKey.exec(line)
  if (!match?.[1] || !match[2]) return false
  const data = Buffer.from(match[2], 'base64')
  const length = data.length >= 4 ? data.readUInt32BE(0) : -1
  return length === match[1].length && data.toString('latin1', 4, 4 + length) === match[1]
}

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
