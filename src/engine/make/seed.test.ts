import {createHash} from 'node:crypto'
import {existsSync, linkSync, mkdirSync, openSync, readFileSync, readSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {describe, expect, test} from 'vitest'
import {parse} from 'yaml'

import {makeSpec, makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import type {CloudInitConfig} from '../../model/cloud-init.ts'
import type {Vm} from '../../model/vm.ts'
import {emptySetup} from '../../guest/setup/script.ts'
import {writeLocalSeed} from '../../hypervisor/local-seed.ts'
import type {SeedDocuments} from '../../model/cloud-init.ts'
import {detachSeed, writeCredentials} from './seed.ts'
import {seedDocuments} from './seed-documents.ts'

/** As a backend of this host has it. */
const givenTo =
  (vm: Vm, show?: () => Promise<void>) =>
  (documents: SeedDocuments): Promise<void> =>
    writeLocalSeed(vm, documents, show)

const secret = 'BEGIN OPENSSH PRIVATE KEY'

const seededVm = async (cloudInit: Partial<CloudInitConfig> = {}): Promise<{vm: Vm; seed: string; spent: string}> => {
  const directory = join(temporaryDirectory(), 'vm')
  mkdirSync(directory)
  const vm = makeVm({directory, spec: makeSpec({cloudInit: {hostname: 'web', sshKeys: [], ...cloudInit}})})
  await writeCredentials(vm, {setup: emptySetup}, givenTo(vm))
  return {vm, seed: join(directory, 'seed.iso'), spent: join(directory, 'seed-spent.iso')}
}

const text = (path: string): string => readFileSync(path, 'latin1')

test('the private host key goes, the identity, the user and his key stay, and the old bytes are overwritten', async () => {
  const {vm, seed, spent} = await seededVm()
  expect(text(seed)).toContain(secret)
  const old = openSync(seed, 'r')
  const {size} = statSync(seed)
  let shown = ''
  expect(
    await detachSeed(
      vm,
      {setup: emptySetup},
      givenTo(vm, async () => {
        shown = text(seed)
      }),
    ),
  ).toBeUndefined()
  expect(shown).not.toContain(secret)
  const publicKey = readFileSync(join(vm.directory, 'id_ed25519_generated.pub'), 'utf8').split(' ')[1] ?? '-'
  for (const word of [`instance-id: 'web-${vm.id}'`, "local-hostname: 'web'", publicKey, 'manage_etc_hosts'])
    expect(text(seed)).toContain(word)
  expect(text(seed)).not.toContain(secret)
  expect(statSync(seed).mode & 0o777).toBe(0o600)
  expect(existsSync(spent)).toBe(false)
  const left = Buffer.alloc(size)
  expect(readSync(old, left, 0, size, 0)).toBe(size)
  expect(left.equals(Buffer.alloc(size))).toBe(true)
})

test.each([
  ['nothing was done yet', () => undefined],
  ['the old seed has its second name', ({seed, spent}: {seed: string; spent: string}) => linkSync(seed, spent)],
  [
    'the new seed is there, the old one not yet wiped',
    ({seed, spent}: {seed: string; spent: string}) => {
      linkSync(seed, spent)
      writeFileSync(`${seed}.new`, 'clean')
    },
  ],
])('cut off where %s, a second run puts it right', async (_what, before) => {
  const made = await seededVm()
  before(made)
  let isCut = true
  const show = async (): Promise<void> => {
    if (isCut) throw new Error('cut')
  }
  await expect(detachSeed(made.vm, {setup: emptySetup}, givenTo(made.vm, show))).rejects.toThrow('cut')
  isCut = false
  expect(await detachSeed(made.vm, {setup: emptySetup}, givenTo(made.vm, show))).toBeUndefined()
  expect(await detachSeed(made.vm, {setup: emptySetup}, givenTo(made.vm, show))).toBeUndefined()
  expect(text(made.seed)).not.toContain(secret)
  expect(existsSync(made.spent)).toBe(false)
})

test('user-data of the user stays byte for byte; when it has changed meanwhile the seed is left alone, with the reason', async () => {
  const path = join(temporaryDirectory(), 'user-data')
  writeFileSync(path, '#cloud-config\nbootcmd: [date]\n')
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex')
  const {vm, seed} = await seededVm({userData: {path, sha256}})
  writeFileSync(path, 'other')
  expect(await detachSeed(vm, {setup: emptySetup}, givenTo(vm))).toBe(`${path} is not what it was when the VM was made`)
  expect(text(seed)).toContain(secret)
  writeFileSync(path, '#cloud-config\nbootcmd: [date]\n')
  expect(await detachSeed(vm, {setup: emptySetup}, givenTo(vm))).toBeUndefined()
  expect(text(seed)).toContain('#cloud-config\nbootcmd: [date]\n')
  expect(text(seed)).not.toContain(secret)
})

test.each(['ecdsa', 'rsa'] as const)('keys of kind %s, the host key and that of the user, beside keys of the user', async (keyType) => {
  const directory = join(temporaryDirectory(), 'vm')
  mkdirSync(directory)
  const mine = 'ssh-ed25519 AAAAmine me'
  const vm = makeVm({directory, spec: makeSpec({cloudInit: {hostname: 'web', sshKeys: [mine]}, ssh: {keyType}})})
  await writeCredentials(vm, {setup: emptySetup}, givenTo(vm))
  const seed = text(join(directory, 'seed.iso'))
  const publicKey = readFileSync(join(directory, 'id_ed25519_generated.pub'), 'utf8').trim()
  const name = keyType === 'rsa' ? 'ssh-rsa' : 'ecdsa-sha2-nistp256'
  expect(publicKey.split(' ')[0]).toBe(name)
  expect(readFileSync(join(directory, 'known_hosts'), 'utf8').split(' ')[1]).toBe(name)
  for (const word of [`${keyType}_private`, `${keyType}_public`, publicKey, mine]) expect(seed).toContain(word)
  expect(seed).not.toContain('ed25519_private')
})

test('a VM without a seed has nothing to spend', async () => {
  const directory = temporaryDirectory()
  expect(await detachSeed(makeVm({directory}), {setup: emptySetup}, () => Promise.reject(new Error('not asked')))).toBeUndefined()
})

describe('a whole block', () => {
  const configOf = (seed: string): Record<string, unknown> =>
    parse(Buffer.from(/#cloud-config\n[^\0]*/.exec(text(seed))?.[0] ?? '', 'latin1').toString('utf8')) as Record<string, unknown>
  const file = (content: string): {path: string; sha256: string} => {
    const path = join(temporaryDirectory(), 'file')
    writeFileSync(path, content)
    return {path, sha256: createHash('sha256').update(content).digest('hex')}
  }
  const block = (source: {path: string; sha256: string}): Partial<CloudInitConfig> => ({
    packages: ['nginx'],
    bootCommands: ['modprobe x'],
    runCommands: ['true'],
    passwordHash: '$6$a$b',
    writeFiles: [
      {path: '/etc/a', source},
      {path: '/etc/b', content: 'b\n', owner: 'www-data'},
    ],
  })

  test('stays the same without the host key, so that nothing is made anew at the next boot', async () => {
    const {vm, seed} = await seededVm(block(file('from a file\n')))
    const first = configOf(seed)
    expect(first).toMatchObject({
      packages: ['nginx'],
      write_files: [{content: 'from a file\n'}, {content: 'b\n', owner: 'www-data', defer: true}],
      users: [{hashed_passwd: '$6$a$b'}],
    })
    expect(await detachSeed(vm, {setup: emptySetup}, givenTo(vm))).toBeUndefined()
    const {ssh_keys: keys, no_ssh_fingerprints: _fingerprints, ...rest} = first
    expect(keys).toHaveProperty('ed25519_private')
    expect(configOf(seed)).toEqual(rest)
  })

  test('cannot be made anew when a file of it has changed, which is said', async () => {
    const source = file('from a file\n')
    const {vm, seed} = await seededVm(block(source))
    const before = readFileSync(seed)
    writeFileSync(source.path, 'changed\n')
    expect(await detachSeed(vm, {setup: emptySetup}, givenTo(vm))).toBe(`${source.path} is not what it was when the VM was made`)
    expect(readFileSync(seed).equals(before)).toBe(true)
  })

  test('goes beside user-data that is to be merged, with a key to log in by; vendor-data and network-config are passed through', async () => {
    const [userData, vendorData, networkConfig] = [
      file('#cloud-config\nhostname: mine\n'),
      file('#!/bin/sh\n# vendor\n'),
      file('version: 2\n'),
    ]
    const {vm, seed} = await seededVm({userData, vendorData, networkConfig, merge: true, packages: ['nginx']})
    expect(existsSync(join(vm.directory, 'id_ed25519_generated'))).toBe(true)
    const base64 = (needle: string): boolean => {
      const parts = text(seed).match(/(?:[A-Za-z0-9+/=]{1,76}\n)+/g) ?? []
      return parts.some((part) => Buffer.from(part, 'base64').toString('utf8').includes(needle))
    }
    expect([base64('hostname: mine'), base64('nginx'), base64(secret)]).toEqual([true, true, true])
    expect(text(seed)).toContain('#!/bin/sh\n# vendor\n')
    expect(text(seed)).toContain('version: 2\n')
    expect(await detachSeed(vm, {setup: emptySetup}, givenTo(vm))).toBeUndefined()
    expect([base64('hostname: mine'), base64('nginx'), base64(secret)]).toEqual([true, true, false])
  })

  test('vendor-data of the user joins what goes beside raw user-data', async () => {
    const {seed} = await seededVm({userData: file('#cloud-config\n{}\n'), vendorData: file('#!/bin/sh\n# vendor\n')})
    expect(text(seed)).toContain('multipart/mixed')
    expect(text(seed)).not.toContain(secret)
    expect(text(seed)).toContain(Buffer.from('#!/bin/sh\n# vendor\n').toString('base64'))
  })

  test('leaves the commands to the provisioning when a Dockerfile comes before them', async () => {
    const directory = join(temporaryDirectory(), 'vm')
    mkdirSync(directory)
    const dockerfile = {path: '/Dockerfile', context: '/', buildArgs: {}}
    const vm = makeVm({directory, spec: makeSpec({dockerfile, cloudInit: {hostname: 'web', sshKeys: [], runCommands: ['true']}})})
    await writeCredentials(vm, {setup: emptySetup}, givenTo(vm))
    expect(configOf(join(directory, 'seed.iso'))).not.toHaveProperty('runcmd')
  })
})

test('a guest on a disk that was another one takes its own identity first, and does again only what is of each boot', async () => {
  const directory = join(temporaryDirectory(), 'vm')
  mkdirSync(directory)
  const cloudInit = {hostname: 'web', sshKeys: [], packages: ['nginx'], runCommands: ['once'], bootCommands: ['each boot']}
  const vm = makeVm({directory, derivedFrom: 'other', spec: makeSpec({cloudInit})})
  const read = async () => {
    const {userData} = await seedDocuments(vm, cloudInit, {setup: emptySetup, hostKey: undefined, madeKey: undefined})
    return parse(String(userData)) as {readonly bootcmd: readonly (string | readonly string[])[]}
  }
  const {bootcmd, ...rest} = await read()
  expect(bootcmd[0]).toEqual(['sh', '-c', expect.stringContaining(vm.id.replaceAll('-', '')), 'vmctl-identity'])
  expect(bootcmd.slice(1)).toEqual(['each boot'])
  for (const word of ['packages', 'runcmd', 'write_files']) expect(rest).not.toHaveProperty(word)
})
