import {createHash} from 'node:crypto'
import {existsSync, linkSync, mkdirSync, openSync, readFileSync, readSync, statSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeSpec, makeVm, temporaryDirectory} from '../../test/support/builders.ts'
import type {CloudInitConfig, Vm} from '../model/vm.ts'
import {emptySetup} from '../guest/setup/script.ts'
import {spendSeed, writeCredentials} from './seed.ts'

const secret = 'BEGIN OPENSSH PRIVATE KEY'

const seededVm = async (cloudInit: Partial<CloudInitConfig> = {}): Promise<{vm: Vm; seed: string; spent: string}> => {
  const directory = join(temporaryDirectory(), 'vm')
  mkdirSync(directory)
  const vm = makeVm({directory, spec: makeSpec({cloudInit: {hostname: 'web', sshKeys: [], ...cloudInit}})})
  await writeCredentials(vm, emptySetup)
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
    await spendSeed(vm, emptySetup, async () => {
      shown = text(seed)
    }),
  ).toBeUndefined()
  expect(shown).not.toContain(secret)
  const publicKey = readFileSync(join(vm.directory, 'id_ed25519_generated.pub'), 'utf8').split(' ')[1] ?? '-'
  for (const word of [`instance-id: web-${vm.id}`, 'local-hostname: web', publicKey, 'manage_etc_hosts']) expect(text(seed)).toContain(word)
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
  await expect(spendSeed(made.vm, emptySetup, show)).rejects.toThrow('cut')
  isCut = false
  expect(await spendSeed(made.vm, emptySetup, show)).toBeUndefined()
  expect(await spendSeed(made.vm, emptySetup, show)).toBeUndefined()
  expect(text(made.seed)).not.toContain(secret)
  expect(existsSync(made.spent)).toBe(false)
})

test('user-data of the user stays byte for byte; when it has changed meanwhile the seed is left alone, with the reason', async () => {
  const path = join(temporaryDirectory(), 'user-data')
  writeFileSync(path, '#cloud-config\nbootcmd: [date]\n')
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex')
  const {vm, seed} = await seededVm({userData: {path, sha256}})
  writeFileSync(path, 'other')
  expect(await spendSeed(vm, emptySetup, async () => undefined)).toBe(`${path} is not what it was when the VM was made`)
  expect(text(seed)).toContain(secret)
  writeFileSync(path, '#cloud-config\nbootcmd: [date]\n')
  expect(await spendSeed(vm, emptySetup, async () => undefined)).toBeUndefined()
  expect(text(seed)).toContain('#cloud-config\nbootcmd: [date]\n')
  expect(text(seed)).not.toContain(secret)
})

test('a VM without a seed has nothing to spend', async () => {
  const directory = temporaryDirectory()
  expect(await spendSeed(makeVm({directory}), emptySetup, () => Promise.reject(new Error('not asked')))).toBeUndefined()
})
