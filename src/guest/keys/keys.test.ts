import {execFileSync} from 'node:child_process'
import {createPublicKey, verify} from 'node:crypto'
import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import ssh2 from 'ssh2'
import {afterAll, beforeAll, expect, test} from 'vitest'

import {missingProgram, needsUser, testUnless} from '../../../test/support/programs.ts'
import {sshCandidates} from '../ssh/candidates.ts'
import {fingerprint, generateKeyPair, knownHostsKey, knownHostsLine, publicKeyLine} from './keys.ts'
import {readPrivateKey} from './private-key.ts'
import {parsePublicKeyLine} from '../../model/public-key.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vmctl-keys-'))
})
afterAll(() => rm(directory, {recursive: true}))

const noKeygen = missingProgram('ssh-keygen', ['-?'])
const file = async (name: string, content: string, mode = 0o600): Promise<string> => {
  const path = join(directory, name)
  await writeFile(path, content, {mode})
  return path
}
const keygen = (...args: string[]): string => execFileSync('ssh-keygen', args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']})

test('2,000 generated keys are read by ssh2 and sign what the public half verifies', () => {
  let leadingZeros = 0
  for (let count = 0; count < 2000; count++) {
    const pair = generateKeyPair(`key ${count}`)
    const key = ssh2.utils.parseKey(pair.privateKey)
    if (key instanceof Error) throw key
    const blob = parsePublicKeyLine(pair.publicKey)?.blob ?? Buffer.alloc(0)
    expect(key.getPublicSSH().equals(blob)).toBe(true)
    expect(key.comment).toBe(`key ${count}`)
    if (blob[19] === 0) leadingZeros++
    if (count % 100 > 0 && blob[19] !== 0) continue
    const message = Buffer.from('message')
    expect(verify(null, message, createPublicKey(key.getPublicPEM()), key.sign(message))).toBe(true)
  }
  // About 8 of 2,000; the chance that there is none is 0.04 %.
  expect(leadingZeros).toBeLessThan(40)
})

testUnless(noKeygen)('ssh-keygen derives the same public key and the same fingerprint', async () => {
  const kinds = [...['', 'a', 'vmctl web', 'ä b=c'].map((comment) => [comment, undefined] as const), ['e', 'ecdsa'], ['r', 'rsa']] as const
  for (const [comment, type] of kinds) {
    const pair = generateKeyPair(comment, type)
    const path = await file('generated', pair.privateKey)
    expect(keygen('-y', '-f', path).trim()).toBe(pair.publicKey)
    expect(keygen('-l', '-f', await file('generated.pub', `${pair.publicKey}\n`)).split(' ')[1]).toBe(fingerprint(pair.publicKey))
  }
})

test('100 ECDSA keys and an RSA key are read by ssh2 and sign what the public half verifies', () => {
  const pairs = [...Array.from({length: 100}, () => generateKeyPair('e', 'ecdsa')), generateKeyPair('r', 'rsa')]
  for (const pair of pairs) {
    const key = ssh2.utils.parseKey(pair.privateKey)
    if (key instanceof Error) throw key
    expect(key.getPublicSSH().equals(parsePublicKeyLine(pair.publicKey)?.blob ?? Buffer.alloc(0))).toBe(true)
    const message = Buffer.from('message')
    expect(key.verify(message, key.sign(message, 'sha256'), 'sha256')).toBe(true)
  }
  expect(pairs.map(({publicKey}) => publicKey.split(' ')[0])).toEqual([...Array<string>(100).fill('ecdsa-sha2-nistp256'), 'ssh-rsa'])
})

test('a public key line is read, and nothing else', () => {
  const {publicKey} = generateKeyPair('with a comment')
  const key = parsePublicKeyLine(`  ${publicKey}\n`)
  expect(key).toMatchObject({type: 'ssh-ed25519', comment: 'with a comment'})
  expect(publicKeyLine(key?.blob ?? Buffer.alloc(0), 'with a comment')).toBe(publicKey)
  for (const line of [
    '',
    'ssh-ed25519',
    'ssh-ed25519 AAAA',
    publicKey.replace('ssh-ed25519', 'ssh-rsa'),
    publicKey.replace('AAAA', '!!!!'),
    `no-pty ${publicKey}`,
  ]) {
    expect(parsePublicKeyLine(line), line).toBeUndefined()
  }
  expect(() => fingerprint('nonsense')).toThrow(expect.objectContaining({code: 'vmctl::ssh::key_unusable'}))
})

test('a known_hosts line is found again by its alias', () => {
  const [one, two] = [generateKeyPair('one').publicKey, generateKeyPair('').publicKey]
  const text = `# comment\n${knownHostsLine('vmctl-one', one)}\n${knownHostsLine('vmctl-two', two)}\n`
  expect(knownHostsKey(text, 'vmctl-two')).toBe(two)
  expect(knownHostsKey(text, 'vmctl-one')).toBe(one.split(' ').slice(0, 2).join(' '))
  expect(knownHostsKey(text, 'vmctl')).toBeUndefined()
  expect(() => knownHostsLine('two words', one)).toThrow(RangeError)
})

test('a private key file that cannot be used is explained', async () => {
  const {publicKey, privateKey} = generateKeyPair('x')
  const damaged = privateKey.replace(/\n(.{20})/, (_, start: string) => `\n${start.split('').toReversed().join('')}`)
  await expect(readPrivateKey(join(directory, 'none'))).rejects.toMatchObject({
    code: 'vmctl::ssh::key_unusable',
    details: {reason: 'missing'},
  })
  await expect(readPrivateKey(directory)).rejects.toMatchObject({details: {reason: 'unreadable'}})
  await expect(readPrivateKey(await file('text', 'hello'))).rejects.toMatchObject({details: {reason: 'not-a-key'}})
  await expect(readPrivateKey(await file('public', publicKey))).rejects.toThrow(/is a public key/)
  await expect(readPrivateKey(await file('damaged', damaged))).rejects.toThrow(/damaged/)
  await expect(readPrivateKey(await file('pkcs8', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'))).rejects.toThrow(
    /ssh-keygen -p/,
  )
  await expect(readPrivateKey(await file('good', privateKey))).resolves.toMatchObject({
    encrypted: false,
    publicKey: publicKey.split(' ').slice(0, 2).join(' '),
  })
})

testUnless(needsUser())('a file that may not be read is told apart', async () => {
  const path = await file('forbidden', generateKeyPair('').privateKey)
  await chmod(path, 0)
  await expect(readPrivateKey(path)).rejects.toMatchObject({details: {reason: 'unreadable'}})
})

testUnless(noKeygen)('keys of ssh-keygen are read, encrypted ones recognised, in both formats', async () => {
  for (const [name, ...args] of [
    ['ed25519', '-t', 'ed25519'],
    ['ecdsa', '-t', 'ecdsa', '-m', 'PEM'],
    ['rsa', '-t', 'rsa', '-b', '1024', '-m', 'PEM'],
  ] as const) {
    for (const passphrase of ['', 'secret']) {
      const path = join(directory, `${name}-${passphrase}`)
      keygen('-q', ...args, '-N', passphrase, '-C', '', '-f', path)
      const key = await readPrivateKey(path)
      expect(key.encrypted, path).toBe(passphrase !== '')
      expect(fingerprint(key.publicKey ?? '')).toBe(keygen('-l', '-f', path).split(' ')[1])
    }
  }
})

testUnless(noKeygen)('candidates come in the settled order; named keys must work, standard keys need not', async () => {
  const home = join(directory, 'home')
  execFileSync('mkdir', ['-p', join(home, '.ssh')])
  const key = (name: string): Promise<string> => file(name, generateKeyPair(name).privateKey)
  const [flag, vmfile, generated] = [await key('flag'), await key('vmfile'), await key('generated-key')]
  const ecdsa = join(home, '.ssh', 'id_ecdsa')
  keygen('-q', '-t', 'ecdsa', '-N', '', '-f', ecdsa)
  await writeFile(join(home, '.ssh', 'id_rsa'), 'not a key')
  const encrypted = join(directory, 'locked')
  keygen('-q', '-t', 'ed25519', '-N', 'secret', '-f', encrypted)

  const all = {explicit: flag, vmfile, generated, home, agentSocket: '/run/agent'}
  const paths = async (sources: Parameters<typeof sshCandidates>[0]): Promise<unknown[]> =>
    (await sshCandidates(sources)).map((one) => (one.kind === 'key' ? one.path : `agent ${one.path ?? ''}`))
  expect(await paths(all)).toEqual([flag, vmfile, generated, ecdsa, 'agent '])
  expect(await paths({...all, vmfile: flag, agentSocket: undefined})).toEqual([flag, generated, ecdsa])
  expect(await paths({generated: join(directory, 'missing')})).toEqual([])
  expect(await paths({vmfile: encrypted, agentSocket: '/run/agent'})).toEqual([`agent ${encrypted}`, 'agent '])
  expect(await paths({vmfile: encrypted, canPrompt: true})).toEqual([encrypted])
  await expect(paths({vmfile: encrypted})).rejects.toMatchObject({
    code: 'vmctl::ssh::key_unusable',
    help: expect.stringContaining('ssh-add'),
  })
  await expect(paths({...all, explicit: join(directory, 'missing')})).rejects.toMatchObject({details: {reason: 'missing'}})
  await expect(paths({...all, generated: join(home, '.ssh', 'id_rsa')})).rejects.toMatchObject({details: {reason: 'not-a-key'}})
})
