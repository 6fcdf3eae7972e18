import {createHash, generateKeyPairSync, type JsonWebKey, randomBytes} from 'node:crypto'

import {VmctlError} from '../../model/errors.ts'
import type {SshKeyType} from '../../model/vm.ts'
import {mpint, sshString, uint32} from './wire.ts'
import {keyTypeOf, parsePublicKeyLine, type PublicKey} from '../../model/public-key.ts'

export interface KeyPair {
  /** One line as in a `.pub` file: type, base64, comment. No line feed at the end. */
  readonly publicKey: string
  /** The text of a private key file as ssh-keygen writes it, unencrypted. */
  readonly privateKey: string
}

export const opensshMagic = Buffer.from('openssh-key-v1\0')

/**
 * Makes a key pair in OpenSSH's own format (PROTOCOL.key; RFC 8709, RFC 5656, RFC 4253).
 *
 * `ssh2.utils.generateKeyPair` is not used: it drops leading zero bytes, so one Ed25519 key in 260 cannot be read
 * (mscdex/ssh2#1390).
 */
export const generateKeyPair = (comment: string, type: SshKeyType = 'ed25519'): KeyPair => {
  if (/[\r\n\0]/.test(comment)) throw new VmctlError('vmctl::ssh::keygen_failed', 'The comment of a key is one line of text.')
  const {open, secret} = makers[type]()
  const [name] = open
  const blob = Buffer.concat(open.map(sshString))
  const check = randomBytes(4)
  const body = Buffer.concat([check, check, sshString(name), ...secret.map(sshString), sshString(comment)])
  // Padded to the block size of cipher "none" (8) with 1, 2, 3, …
  const padding = Buffer.from(Array.from({length: (8 - (body.length % 8)) % 8}, (_, index) => index + 1))
  const file = Buffer.concat([
    opensshMagic,
    sshString('none'),
    sshString('none'),
    sshString(''),
    uint32(1),
    sshString(blob),
    sshString(Buffer.concat([body, padding])),
  ])
  const lines = file.toString('base64').replaceAll(/.{1,70}/g, '$&\n')
  return {
    publicKey: publicKeyLine(blob, comment),
    privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines}-----END OPENSSH PRIVATE KEY-----\n`,
  }
}

/** The fields of a public key, the name of its type first, and those of the private one behind that name. */
interface KeyFields {
  readonly open: readonly [type: string, ...fields: Buffer[]]
  readonly secret: readonly (string | Buffer)[]
}

type Field = 'n' | 'e' | 'd' | 'qi' | 'p' | 'q' | 'x' | 'y'

const fieldsOf = <Name extends Field>(jwk: JsonWebKey, ...names: readonly Name[]): Record<Name, Buffer> =>
  Object.fromEntries(names.map((name) => [name, Buffer.from(jwk[name] ?? '', 'base64url')])) as Record<Name, Buffer>

const makers: Readonly<Record<SshKeyType, () => KeyFields>> = {
  ed25519() {
    const {x, d} = fieldsOf(generateKeyPairSync('ed25519').privateKey.export({format: 'jwk'}), 'x', 'd')
    if (x.length !== 32 || d.length !== 32) throw new VmctlError('vmctl::ssh::keygen_failed', 'An Ed25519 key could not be made.')
    return {open: ['ssh-ed25519', x], secret: [x, Buffer.concat([d, x])]}
  },
  ecdsa() {
    const {x, y, d} = fieldsOf(generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey.export({format: 'jwk'}), 'x', 'y', 'd')
    // The uncompressed form of a point (SEC 1, 2.3.3).
    const point = Buffer.concat([Buffer.of(4), x, y])
    const curve = Buffer.from('nistp256')
    return {open: ['ecdsa-sha2-nistp256', curve, point], secret: [curve, point, mpint(d)]}
  },
  rsa() {
    const jwk = generateKeyPairSync('rsa', {modulusLength: 3072}).privateKey.export({format: 'jwk'})
    const {n, e, d, qi, p, q} = fieldsOf(jwk, 'n', 'e', 'd', 'qi', 'p', 'q')
    return {open: ['ssh-rsa', mpint(e), mpint(n)], secret: [n, e, d, qi, p, q].map(mpint)}
  },
}

/** The OpenSSH line of a key in wire form. */
export const publicKeyLine = (blob: Buffer, comment = ''): string =>
  `${keyTypeOf(blob) ?? 'unknown'} ${blob.toString('base64')}${comment === '' ? '' : ` ${comment}`}`

/** What people call the kind of a key: `Ed25519`, `ECDSA`, `RSA`. */
export const kindOfKey = (type: string): string => {
  if (type === 'ssh-ed25519') return 'Ed25519'
  return type === 'ssh-rsa' ? 'RSA' : type.startsWith('ecdsa-') ? 'ECDSA' : type
}

/** `SHA256:…` as `ssh-keygen -l` prints it, of an OpenSSH line or of a key in wire form. */
export const fingerprint = (key: string | Buffer): string => {
  const blob = typeof key === 'string' ? requirePublicKey(key).blob : key
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`
}

/** A line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) for a host that is named by HostKeyAlias. */
export const knownHostsLine = (alias: string, publicKey: string): string => {
  const {type, blob} = requirePublicKey(publicKey)
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(alias)) throw new RangeError(`Not a host key alias: ${alias}`)
  return `${alias} ${type} ${blob.toString('base64')}`
}

/** The key of one host in the text of a known_hosts file, as an OpenSSH line. */
export const knownHostsKey = (text: string, alias: string): string | undefined => {
  for (const line of text.split('\n')) {
    const [name, ...key] = line.trim().split(/[ \t]+/)
    if (name === alias && parsePublicKeyLine(key.join(' '))) return key.slice(0, 2).join(' ')
  }
  return undefined
}

export const requirePublicKey = (line: string): PublicKey => {
  const key = parsePublicKeyLine(line)
  if (!key) throw new VmctlError('vmctl::ssh::key_unusable', `Not a public key in OpenSSH form: ${line.slice(0, 80)}`)
  return key
}
