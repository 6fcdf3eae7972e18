import {execFileSync, spawn} from 'node:child_process'
import {once} from 'node:events'
import {writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {describe, expect, test} from 'vitest'

import {temporaryDirectory} from '../../../test/support/builders.ts'
import {missingProgram, testUnless} from '../../../test/support/programs.ts'
import {sshdMissing, startSshd, type TestSshd} from '../../../test/support/sshd.ts'
import type {VmctlError} from '../../model/errors.ts'
import {type Candidate, sshCandidates} from './candidates.ts'
import {fingerprint, generateKeyPair} from '../keys/keys.ts'
import {type ReadinessOptions, waitUntilReady} from '../ready/ready.ts'
import {connect} from './ssh.ts'

const missing = sshdMissing()

const keyOf = (path: string, pair = generateKeyPair('stranger')): Candidate => ({
  kind: 'key',
  path,
  pem: pair.privateKey,
  publicKey: pair.publicKey,
  encrypted: false,
})

const strangers = (count: number): Candidate[] => Array.from({length: count}, (_, index) => keyOf(`/keys/stranger-${index}`))

const readiness = (sshd: TestSshd, auth: readonly Candidate[], change: Partial<ReadinessOptions> = {}): ReadinessOptions => ({
  dial: () => sshd.dial(),
  isAlive: async () => undefined,
  console: {sizeBytes: async () => 0, tail: async () => ''},
  connectOptions: {user: sshd.user, auth, refused: new Set()},
  hostKey: {pinned: sshd.hostKey.publicKey},
  expectCloudInit: false,
  firstBoot: false,
  ...change,
})

describe.skipIf(missing)(`keys that a guest refuses${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  test('a server that looks at three keys and hangs up is shown the others over new connections', async () => {
    await using sshd = await startSshd({config: ['MaxAuthTries 3']})
    const auth = [...strangers(6), ...(await sshCandidates({explicit: sshd.keyPath}))]
    const refusals: string[] = []
    const options = readiness(sshd, auth)
    const {connection} = await waitUntilReady({
      ...options,
      connectOptions: {...options.connectOptions, onRefusal: ({message, help}) => refusals.push(`${message} ${help}`)},
    })
    connection.close()
    expect(connection.key?.path).toBe(sshd.keyPath)
    expect(refusals).toHaveLength(2)
    expect(refusals[0]).toContain('Too many authentication failures')
    expect(refusals[0]).toContain('`vmctl ssh NAME --key PATH`')
    expect(refusals[0]).toContain('IdentitiesOnly yes')
  })

  test('an account that has expired is not waited for, not even in a first boot', async () => {
    const banner = join(temporaryDirectory(), 'banner')
    await writeFile(banner, 'Your account has expired; please contact your system administrator.\n')
    await using sshd = await startSshd({config: [`Banner ${banner}`]})
    await expect(waitUntilReady(readiness(sshd, strangers(1), {firstBoot: true}))).rejects.toMatchObject({
      code: 'vmctl::ssh::authentication_failed',
      message: expect.stringContaining('The guest says: Your account has expired'),
      help: expect.stringContaining('chage'),
    })
  })

  test.each([4, 6])('when all of %i are refused, once each, that is the answer', async (count) => {
    await using sshd = await startSshd({config: ['MaxAuthTries 3']})
    const error = (await waitUntilReady(readiness(sshd, strangers(count))).catch((reason: unknown) => reason)) as VmctlError
    expect(error).toMatchObject({code: 'vmctl::ssh::authentication_failed', facts: {retry: undefined}})
    expect(error.details.tried).toHaveLength(count)
  })

  testUnless(missingProgram('ssh-agent', ['-h']))('the keys of the agent are tried one by one, and the right one is known', async () => {
    await using sshd = await startSshd({config: ['MaxAuthTries 3']})
    const socket = join(sshd.directory, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], {stdio: ['ignore', 'pipe', 'ignore']})
    try {
      await once(agent.stdout, 'data')
      for (let count = 0; count < 6; count++)
        await writeFile(join(sshd.directory, `other-${count}`), generateKeyPair(`other-${count}`).privateKey, {mode: 0o600})
      const paths = [...Array.from({length: 6}, (_, index) => join(sshd.directory, `other-${index}`)), sshd.keyPath]
      for (const path of paths) execFileSync('ssh-add', ['-q', path], {env: {...process.env, SSH_AUTH_SOCK: socket}, stdio: 'ignore'})
      const auth = await sshCandidates({agentSocket: socket})
      expect(auth).toHaveLength(7)
      const {connection} = await waitUntilReady(readiness(sshd, auth))
      connection.close()
      expect(connection.key).toMatchObject({kind: 'agent', only: expect.stringContaining(sshd.key.publicKey.split(' ')[1] ?? '-')})
      // A key whose file is offered already is not offered again.
      expect(await sshCandidates({explicit: sshd.keyPath, agentSocket: socket})).toHaveLength(7)
    } finally {
      agent.kill()
    }
  })
})

describe.skipIf(missing)(`a guest in FIPS mode${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const config = [
    'HostKeyAlgorithms ecdsa-sha2-nistp256,rsa-sha2-512',
    'PubkeyAcceptedAlgorithms rsa-sha2-512,rsa-sha2-256,ecdsa-sha2-nistp256',
  ]

  test.each(['ecdsa', 'rsa'] as const)('lets in by keys of kind %s, host key and user key', async (type) => {
    const pair = generateKeyPair('mine', type)
    await using sshd = await startSshd({config, hostKey: generateKeyPair('host', type), authorize: [pair.publicKey]})
    const {connection} = await waitUntilReady(readiness(sshd, [keyOf('/keys/mine', pair)]))
    connection.close()
    expect(connection.hostKey).toBe(sshd.hostKey.publicKey.split(' ').slice(0, 2).join(' '))
  })

  test('refuses Ed25519 keys, which the error says with what to write', async () => {
    await using sshd = await startSshd({config, hostKey: generateKeyPair('host', 'ecdsa')})
    const auth = await sshCandidates({explicit: sshd.keyPath})
    const refused = connect({stream: await sshd.dial(), user: sshd.user, auth, verifyHostKey: () => true})
    await expect(refused).rejects.toMatchObject({
      message: expect.stringContaining('may be in FIPS mode and take no Ed25519 keys'),
      help: expect.stringContaining('ssh { key-type "ecdsa" }'),
      details: {lacksType: true},
    })
  })

  test('has not taken the Ed25519 host key of its seed, which the error says', async () => {
    await using sshd = await startSshd({config, hostKey: generateKeyPair('host', 'ecdsa')})
    const auth = await sshCandidates({explicit: sshd.keyPath})
    const pinned = generateKeyPair('pinned').publicKey
    await expect(waitUntilReady(readiness(sshd, auth, {hostKey: {pinned}}))).rejects.toMatchObject({
      code: 'vmctl::ssh::host_key_mismatch',
      message: expect.stringMatching(new RegExp(`this VM has ${fingerprint(pinned).replaceAll(/[+/]/g, '.')}.*no Ed25519 host key`)),
      help: expect.stringContaining('key-type'),
    })
  })
})
