import {createHash, createPrivateKey, sign as signBytes} from 'node:crypto'
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'

import {createCleartextMessage, createMessage, enums, generateKey, readPrivateKey, type SecretKeyPacket, revokeKey, sign} from 'openpgp'
import {beforeAll, describe, expect, test} from 'vitest'

import {testUnless} from '../../../test/support/programs.ts'
import {binaryOf, makeKey, signClear, signDetached, type TestKey} from '../../../test/support/publishers.ts'
import {chooseKey, verifyClearsigned, verifyDetached} from './openpgp.ts'

const text = `${'0'.repeat(64)}  disk.qcow2\n`
const bytes = Buffer.from(text)

let key: TestKey
let other: TestKey
beforeAll(async () => {
  key = await makeKey()
  other = await makeKey()
})

describe('a detached signature', () => {
  test('is good, armored or not, and says by whom', async () => {
    const armored = await signDetached(text, key)
    for (const signature of [Buffer.from(armored), binaryOf(armored)]) {
      expect(await verifyDetached(bytes, signature, [other.armored, key.armored])).toMatchObject({fingerprint: key.fingerprint})
    }
  })

  test('is nothing without a key, and nothing by a stranger', async () => {
    const signature = Buffer.from(await signDetached(text, key))
    await expect(verifyDetached(bytes, signature, [])).rejects.toMatchObject({message: 'is signed by another key', mayBeOldKey: true})
    await expect(verifyDetached(bytes, signature, [other.armored])).rejects.toMatchObject({message: 'is signed by another key'})
  })

  test('of two signers one has to be known', async () => {
    const signature = await sign({
      message: await createMessage({binary: new Uint8Array(bytes)}),
      signingKeys: [other.privateKey, key.privateKey],
      detached: true,
    })
    expect(await verifyDetached(bytes, Buffer.from(signature), [key.armored])).toMatchObject({fingerprint: key.fingerprint})
  })

  test('is refused for each bit that is another one', async () => {
    const signature = Buffer.from(await signDetached(text, key))
    const changed = Buffer.from(bytes)
    changed[10] = (changed[10] ?? 0) ^ 1
    await expect(verifyDetached(changed, signature, [key.armored])).rejects.toThrow('does not belong to what it is said to sign')
  })

  test('made after its key had ended is refused; made before, it is good, and the end is told', async () => {
    const ended = await makeKey({date: new Date('2024-01-01T00:00:00Z'), expiresAfterS: 86_400 * 30})
    const before = await signDetached(text, ended, new Date('2024-01-10T00:00:00Z'))
    expect(await verifyDetached(bytes, Buffer.from(before), [ended.armored])).toMatchObject({keyEndedAt: new Date('2024-01-31T00:00:00Z')})
    // The library signs with no key that has ended: one of the same key that had no end signs instead.
    const endless = await readPrivateKey({armoredKey: await endlessCopy(ended)})
    const after = await signDetached(text, {...ended, privateKey: endless}, new Date('2024-03-01T00:00:00Z'))
    await expect(verifyDetached(bytes, Buffer.from(after), [ended.armored])).rejects.toThrow(/is refused: .*expired/i)
  })

  test('of a key that was revoked is refused', async () => {
    const signature = await signDetached(text, key)
    const {publicKey} = await revokeKey({key: key.privateKey, reasonForRevocation: {flag: enums.reasonForRevocation.keyCompromised}})
    await expect(verifyDetached(bytes, Buffer.from(signature), [publicKey])).rejects.toThrow(/is refused: .*revoked/i)
  })

  test('over a weak digest is refused', async () => {
    const rsa = await rsaKey()
    const old = signV3(text, rsa, {hash: 2, name: 'sha1'})
    await expect(verifyDetached(bytes, old, [rsa.armored])).rejects.toThrow('rests on a digest that is too weak')
    await expect(verifyDetached(bytes, signV4(text, rsa, 'sha512'), [rsa.armored])).resolves.toMatchObject({fingerprint: rsa.fingerprint})
    await expect(verifyDetached(bytes, signV4(text, rsa, 'sha1'), [rsa.armored])).rejects.toThrow(/insecure message hash algorithm: SHA1/i)
  })
})

/** The same key with signatures on itself that say no end. */
const endlessCopy = async ({privateKey}: TestKey): Promise<string> => {
  const {reformatKey} = await import('openpgp')
  const {privateKey: armored} = await reformatKey({
    privateKey,
    userIDs: [{name: 'A publisher', email: 'images@example.org'}],
    keyExpirationTime: 0,
    date: new Date('2024-01-02T00:00:00Z'),
  })
  return armored
}

interface RsaKey extends TestKey {
  readonly pem: ReturnType<typeof createPrivateKey>
}

const rsaKey = async (): Promise<RsaKey> => {
  const {privateKey, publicKey} = await generateKey({type: 'rsa', rsaBits: 2048, userIDs: [{name: 'old', email: 'old@example.org'}]})
  const parsed = await readPrivateKey({armoredKey: privateKey})
  const base64 = (value: Uint8Array): string => Buffer.from(value).toString('base64url')
  const {n, e} = parsed.keyPacket.publicParams as {n: Uint8Array; e: Uint8Array}
  const {d, p, q} = (parsed.keyPacket as SecretKeyPacket).privateParams as {d: Uint8Array; p: Uint8Array; q: Uint8Array}
  const number = (value: Uint8Array): bigint => BigInt(`0x${Buffer.from(value).toString('hex')}`)
  const bytesOf = (value: bigint): Uint8Array => Buffer.from(value.toString(16).padStart(256, '0'), 'hex')
  const [dp, dq] = [number(d) % (number(p) - 1n), number(d) % (number(q) - 1n)]
  const qi = inverse(number(q), number(p))
  const jwk = {
    kty: 'RSA',
    n: base64(n),
    e: base64(e),
    d: base64(d),
    p: base64(p),
    q: base64(q),
    dp: base64(bytesOf(dp)),
    dq: base64(bytesOf(dq)),
    qi: base64(bytesOf(qi)),
  }
  return {
    privateKey: parsed,
    armored: publicKey,
    fingerprint: parsed.getFingerprint().toUpperCase(),
    pem: createPrivateKey({key: jwk, format: 'jwk'}),
  }
}

const inverse = (value: bigint, modulus: bigint): bigint => {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n]
  while (b !== 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y]
  return ((x % modulus) + modulus) % modulus
}

/** A signature packet of version 3, as openSUSE makes them; no library writes them any more. */
const signV3 = (content: string, key_: RsaKey, {hash = 10, name = 'sha512', at = Date.now(), type = 0} = {}): Buffer => {
  const head = Buffer.alloc(5)
  head.writeUInt8(type, 0)
  head.writeUInt32BE(Math.floor(at / 1000), 1)
  const value = signBytes(name, Buffer.concat([Buffer.from(content), head]), key_.pem)
  const id = Buffer.from(key_.privateKey.getKeyID().toHex(), 'hex')
  return packetOf(Buffer.concat([Buffer.from([3, 5]), head, id, Buffer.from([1, hash, 0, 0]), integerOf(value)]))
}

/** A signature packet of version 4 over any digest; the library makes none over a weak one. */
const signV4 = (content: string, key_: RsaKey, name: 'sha1' | 'sha512'): Buffer => {
  const time = Buffer.alloc(6)
  time.set([5, 2])
  time.writeUInt32BE(Math.floor(Date.now() / 1000), 2)
  const head = Buffer.concat([Buffer.from([4, 0, 1, name === 'sha1' ? 2 : 10, 0, time.length]), time])
  const digested = Buffer.concat([Buffer.from(content), head, Buffer.from([4, 0xff, 0, 0, 0, head.length])])
  const digest = createHash(name).update(digested).digest()
  const issuer = Buffer.concat([Buffer.from([0, 10, 9, 16]), Buffer.from(key_.privateKey.getKeyID().toHex(), 'hex')])
  return packetOf(Buffer.concat([head, issuer, digest.subarray(0, 2), integerOf(signBytes(name, digested, key_.pem))]))
}

/** A number as OpenPGP writes it: its length in bits, and no leading zeros. */
const integerOf = (value: Buffer): Buffer => {
  const short = value.subarray(value.findIndex((byte) => byte !== 0))
  const bits = Buffer.alloc(2)
  bits.writeUInt16BE((short.length - 1) * 8 + (short[0] ?? 0).toString(2).length)
  return Buffer.concat([bits, short])
}

const packetOf = (body: Buffer): Buffer => {
  const length = Buffer.alloc(3)
  length.writeUInt8(0x89, 0)
  length.writeUInt16BE(body.length, 1)
  return Buffer.concat([length, body])
}

describe('a signature of version 3', () => {
  let old: RsaKey
  beforeAll(async () => {
    old = await rsaKey()
  })

  test('is good', async () => {
    expect(await verifyDetached(bytes, signV3(text, old), [key.armored, old.armored])).toMatchObject({fingerprint: old.fingerprint})
  })

  test.each([
    ['over other bytes', () => signV3('other', old), 'does not belong to what it is said to sign'],
    ['over a text, with its line ends made alike', () => signV3(text, old, {type: 1}), 'is of a kind that vmctl does not know'],
    ['of the future', () => signV3(text, old, {at: Date.now() + 86_400_000}), 'is of the future'],
    ['from before its key was made', () => signV3(text, old, {at: Date.parse('2001-01-01')}), 'is refused'],
    ['that comes twice', () => Buffer.concat([signV3(text, old), signV3(text, old)]), 'has no signature in it that can be checked'],
  ])('%s is refused', async (_what, made, why) => {
    await expect(verifyDetached(bytes, made(), [old.armored])).rejects.toThrow(why)
  })

  test('of a stranger, and of a key that was revoked, is refused', async () => {
    await expect(verifyDetached(bytes, signV3(text, old), [key.armored])).rejects.toMatchObject({message: 'is signed by another key'})
    const {publicKey} = await revokeKey({key: old.privateKey})
    await expect(verifyDetached(bytes, signV3(text, old), [publicKey])).rejects.toThrow(/is refused: .*revoked/i)
  })
})

describe('a clear-signed message', () => {
  test('gives what was signed, and nothing around it', async () => {
    const signed = await signClear(text, key)
    const {content} = await verifyClearsigned(`before\n${signed}\nafter\n`, [key.armored])
    expect(Buffer.from(content).toString()).toBe(text)
  })

  test.each([
    ['a line that was added', (signed: string) => signed.replace('disk.qcow2', 'disk.qcow2\nff  disk.qcow2')],
    ['a header that is none', (signed: string) => signed.replace('Hash:', 'Hsah:')],
    ['no signature', (signed: string) => signed.slice(0, signed.indexOf('-----BEGIN PGP SIGNATURE'))],
    ['no message', () => text],
  ])('with %s is refused', async (_what, change) => {
    await expect(verifyClearsigned(change(await signClear(text, key)), [key.armored])).rejects.toMatchObject({
      message: expect.stringMatching(/does not belong|cannot be read|no signed message|has no signature/) as unknown,
    })
  })

  test('by a stranger is refused', async () => {
    const signed = await sign({message: await createCleartextMessage({text}), signingKeys: other.privateKey})
    await expect(verifyClearsigned(signed, [key.armored])).rejects.toThrow('is signed by another key')
  })
})

describe('a key', () => {
  test('is chosen by its fingerprint, also behind another one in the same file', async () => {
    const both = Buffer.from(`${other.armored}\n${key.armored}`)
    for (const {fingerprint} of [key, other]) {
      const chosen = (await chooseKey(both, fingerprint)) ?? ''
      expect(await chooseKey(Buffer.from(chosen), fingerprint)).toBe(chosen)
    }
    expect(await chooseKey(Buffer.concat([binaryOf(other.armored), binaryOf(key.armored)]), key.fingerprint)).toContain('PUBLIC KEY')
  })

  test('with another fingerprint, and what is no key, is none', async () => {
    expect(await chooseKey(Buffer.from(other.armored), key.fingerprint)).toBeUndefined()
    expect(await chooseKey(Buffer.from('<html>not found</html>'), key.fingerprint)).toBeUndefined()
    expect(await chooseKey(Buffer.alloc(0), key.fingerprint)).toBeUndefined()
  })
})

/** Keys and signed lists of publishers, which are no part of this repository. */
const data = process.env.VMCTL_PUBLISHER_DATA ?? join(import.meta.dirname, '../../../../shared/data/publishers')
const missing = existsSync(join(data, 'keys'))
  ? undefined
  : 'the data of publishers is not here: name its directory by VMCTL_PUBLISHER_DATA'
const real = (path: string): Buffer => readFileSync(join(data, path))

describe('what publishers really sign', () => {
  const keyOf = async (file: string, fingerprint: string): Promise<string[]> => {
    const chosen = await chooseKey(real(`keys/${file}`), fingerprint)
    expect(chosen).toBeDefined()
    return [chosen ?? '']
  }
  const ubuntu = 'D2EB44626FDDC30B513D5BB71A5D6C4C7DB87C81'
  const fedora = '36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6'
  const suse = 'AD485664E901B867051AB15F35A2F86E29B700A4'

  testUnless(missing)('Ubuntu: a detached signature', async () => {
    const keys = await keyOf(`ubuntu-${ubuntu}.asc`, ubuntu)
    const list = real('signed/SHA256SUMS')
    expect(await verifyDetached(list, real('signed/SHA256SUMS.gpg'), keys)).toMatchObject({fingerprint: ubuntu})
    await expect(verifyDetached(list.subarray(1), real('signed/SHA256SUMS.gpg'), keys)).rejects.toThrow('does not belong')
  })

  testUnless(missing)('Fedora: a clear-signed list, and a keyring of several keys', async () => {
    const signed = real('signed/Fedora-Cloud-44-1.7-aarch64-CHECKSUM').toString()
    const {content, fingerprint} = await verifyClearsigned(signed, await keyOf('fedora-42-to-45.gpg', fedora))
    expect([fingerprint, Buffer.from(content).toString().split('\n')[0]]).toEqual([fedora, expect.stringMatching(/^# Fedora-Cloud/)])
    const wrong = await keyOf('fedora-42-to-45.gpg', 'C6E7F081CF80E13146676E88829B606631645531')
    await expect(verifyClearsigned(signed, wrong)).rejects.toThrow('is signed by another key')
  })

  testUnless(missing)('openSUSE: a signature of version 3', async () => {
    const keys = await keyOf(`opensuse-${suse}.asc`, suse)
    expect(await verifyDetached(real('signed/opensuse.sha256'), real('signed/opensuse.sha256.asc'), keys)).toMatchObject({
      fingerprint: suse,
    })
    await expect(verifyDetached(Buffer.from('x'), real('signed/opensuse.sha256.asc'), keys)).rejects.toThrow('does not belong')
  })
})
