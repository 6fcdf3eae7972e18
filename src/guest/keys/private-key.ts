import {readFile} from 'node:fs/promises'

import {messageOf, systemCode, VmctlError, type FailureFacts} from '../../model/errors.ts'
import {readIfExists} from '../../host/files.ts'
import {opensshMagic, publicKeyLine} from './keys.ts'
import {sshReader} from './wire.ts'
import {keyTypeOf, parsePublicKeyLine} from '../../model/public-key.ts'

export interface PrivateKey {
  readonly path: string
  readonly pem: string
  readonly encrypted: boolean
  /** Its public half as an OpenSSH line, when the file or a `.pub` file beside it tells. */
  readonly publicKey?: string
}

const unusable = (path: string, reason: FailureFacts['reason'], message: string, cause?: unknown): VmctlError =>
  new VmctlError('vmctl::ssh::key_unusable', message, {cause, reason, details: {path}})

/**
 * Reads a private key file and says what is wrong with it before a connection is tried.
 * Understood are OpenSSH's format (PROTOCOL.key) and the older PEM ones (RSA, EC).
 * @throws VmctlError `vmctl::ssh::key_unusable` with its `reason`
 */
export const readPrivateKey = async (path: string): Promise<PrivateKey> => {
  const pem = await readKeyFile(path)
  const [, label, body] = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([\s\S]*?)\r?\n?-----END \1-----/.exec(pem) ?? []
  if (label === undefined || body === undefined) throw unusable(path, 'not-a-key', notAKey(path, pem))
  if (label === 'OPENSSH PRIVATE KEY') return {path, pem, ...opensshKey(path, body)}
  if (/^(?:RSA|EC) PRIVATE KEY$/.test(label))
    return {path, pem, encrypted: /^Proc-Type:.*ENCRYPTED/m.test(body), ...(await publicHalf(path))}
  if (label.endsWith('PRIVATE KEY')) {
    throw unusable(
      path,
      'unsupported',
      `${path} is a private key in a format that SSH does not use here (${label}); \`ssh-keygen -p -f ${path}\` rewrites it.`,
    )
  }
  throw unusable(path, 'not-a-key', notAKey(path, pem))
}

const readKeyFile = async (path: string): Promise<string> => {
  try {
    return await readFile(path, 'latin1')
  } catch (error) {
    const missing = systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR'
    throw missing
      ? unusable(path, 'missing', `The private key ${path} does not exist.`, error)
      : unusable(path, 'unreadable', `The private key ${path} cannot be read: ${messageOf(error)}`, error)
  }
}

const notAKey = (path: string, text: string): string =>
  parsePublicKeyLine(text) ? `${path} is a public key; name the private key beside it.` : `${path} is not a private key.`

const opensshKey = (path: string, body: string): {encrypted: boolean; publicKey: string} => {
  const file = Buffer.from(body, 'base64')
  const reader = sshReader(file.subarray(opensshMagic.length))
  const cipher = reader.string()?.toString('latin1')
  reader.string() // the key derivation function
  reader.string() // and its options
  const count = reader.uint32()
  const blob = reader.string()
  const secret = reader.string()
  const wellFormed =
    file.subarray(0, opensshMagic.length).equals(opensshMagic) && count === 1 && blob && keyTypeOf(blob) && secret && secret.length >= 8
  // The two check numbers are equal exactly when the rest was decrypted (or never encrypted).
  if (!wellFormed || (cipher === 'none' && secret.readUInt32BE(0) !== secret.readUInt32BE(4))) {
    throw unusable(path, 'not-a-key', `The private key ${path} is damaged.`)
  }
  return {encrypted: cipher !== 'none', publicKey: publicKeyLine(blob)}
}

/** The older formats do not show the public half of an encrypted key; ssh-keygen left it beside. */
const publicHalf = async (path: string): Promise<{publicKey?: string}> => {
  const line = await readIfExists(`${path}.pub`).catch(() => undefined)
  return line !== undefined && parsePublicKeyLine(line) ? {publicKey: line.trim()} : {}
}
