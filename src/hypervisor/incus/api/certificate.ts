import {generateKeyPairSync, randomBytes, sign, X509Certificate} from 'node:crypto'

import type {Credentials} from './wire.ts'

// X.509 in the one form that is needed: a certificate that says nothing but its key, since a server knows it by its fingerprint.
const der = (tag: number, ...content: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(content)
  return Buffer.concat([Buffer.from([tag]), lengthOf(body.length), body])
}

const lengthOf = (length: number): Buffer => {
  if (length < 0x80) return Buffer.from([length])
  const digits = length.toString(16)
  const bytes = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex')
  return Buffer.concat([Buffer.from([0x80 | bytes.length]), bytes])
}

const sequence = (...items: readonly Uint8Array[]): Buffer => der(0x30, ...items)
const bits = (...bytes: readonly Uint8Array[]): Buffer => der(0x03, Buffer.from([0]), ...bytes)

const oids = {
  ecdsaWithSha384: '06082a8648ce3d040303',
  commonName: '0603550403',
  basicConstraints: '0603551d13',
  keyUsage: '0603551d0f',
  extendedKeyUsage: '0603551d25',
  clientAuthentication: '06082b06010505070302',
} as const

const oid = (name: keyof typeof oids): Buffer => Buffer.from(oids[name], 'hex')
const critical = Buffer.from([0x01, 0x01, 0xff])

/** UTCTime, which is enough until 2049. */
const time = (date: Date): Buffer => {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return der(0x17, Buffer.from(digits.slice(2)))
}

const validYears = 10

/**
 * Makes a key (EC P-384) and a certificate that it has signed itself.
 * @param name for people who look at the certificates that a server trusts
 */
export const makeCredentials = (name: string, now = new Date()): Credentials => {
  const {publicKey, privateKey} = generateKeyPairSync('ec', {namedCurve: 'secp384r1'})
  // A clock that is a little ahead of the server's does no harm.
  const [from, until] = [new Date(now.getTime() - 3_600_000), new Date(now)]
  until.setUTCFullYear(now.getUTCFullYear() + validYears)
  const subject = sequence(der(0x31, sequence(oid('commonName'), der(0x0c, Buffer.from(name)))))
  const algorithm = sequence(oid('ecdsaWithSha384'))
  const serial = randomBytes(16)
  // Positive, and without a leading zero.
  serial[0] = 0x40 | (serial[0]! & 0x3f)
  const extensions = sequence(
    sequence(oid('basicConstraints'), critical, der(0x04, sequence())),
    sequence(oid('keyUsage'), critical, der(0x04, Buffer.from([0x03, 0x02, 0x07, 0x80]))),
    sequence(oid('extendedKeyUsage'), der(0x04, sequence(oid('clientAuthentication')))),
  )
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    subject,
    sequence(time(from), time(until)),
    subject,
    publicKey.export({type: 'spki', format: 'der'}),
    der(0xa3, extensions),
  )
  const certificate = new X509Certificate(sequence(body, algorithm, bits(sign('sha384', body, privateKey))))
  return {certificate: certificate.toString(), key: privateKey.export({type: 'pkcs8', format: 'pem'}).toString()}
}

/** SHA-256 of a certificate in PEM, in hexadecimal digits, as Incus writes it. */
export const fingerprintOfCertificate = (pem: string): string => new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
