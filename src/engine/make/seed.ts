import {open, stat} from 'node:fs/promises'

import {generateKeyPair, type KeyPair, knownHostsKey, knownHostsLine} from '../../guest/keys/keys.ts'
import {writeSeed} from '../../guest/seed/seed-iso.ts'
import {act, link, remove, syncDirectory} from '../../host/durable.ts'
import {ioError, readIfExists, writeFileAtomic, pathExists} from '../../host/files.ts'
import {hashFile} from '../../host/hash.ts'
import {systemCode} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import type {Vm} from '../../model/vm.ts'
import {hostKeyAlias} from '../reach/identity.ts'
import {isRaw, type SeedContent, seedDocuments, sourcesOf} from './seed-documents.ts'

/**
 * Makes what a guest needs in order to know us, and we it: a key pair of vmctl's own, which is let in beside the keys of the user,
 * the host key with its known_hosts, and the cloud-init seed that carries them. Without a cloud-init block there is no seed and no
 * key; user-data of the user's own goes untouched, without a key.
 */
export const writeCredentials = async (vm: Vm, given: SeedContent): Promise<void> => {
  const {cloudInit} = vm.spec
  if (!cloudInit) return
  const files = vmFiles(vm.directory)
  const hostKey = generateKeyPair(`${vm.name} host key`, vm.spec.ssh?.keyType)
  await writeFileAtomic(files.knownHosts, `${knownHostsLine(hostKeyAlias(vm), hostKey.publicKey)}\n`)
  const madeKey = isRaw(cloudInit) ? undefined : await makeUserKey(vm)
  await writeSeed(files.seed, await seedDocuments(vm, cloudInit, {...given, hostKey, madeKey}), new Date(vm.createdAt))
}

/** Writes the seed of a guest that goes on as another one, and was given its host key already: it is to find the same at its next boot. */
export const renewSeed = async (vm: Vm, given: SeedContent, hostKey: KeyPair): Promise<void> => {
  const {cloudInit} = vm.spec
  if (!cloudInit) return
  const {knownHosts, publicKey, seed} = vmFiles(vm.directory)
  await writeFileAtomic(knownHosts, `${knownHostsLine(hostKeyAlias(vm), hostKey.publicKey)}\n`)
  const madeKey = (await readIfExists(publicKey))?.trimEnd()
  await writeSeed(seed, await seedDocuments(vm, cloudInit, {...given, hostKey, madeKey}), new Date(vm.createdAt))
}

/**
 * The same for a VM whose disk was that of `old`, so that its guest is the same machine: it knows its keys, and the seed tells it nothing
 * that it would take for those of another.
 */
export const inheritCredentials = async (vm: Vm, old: Vm, given: SeedContent): Promise<void> => {
  const [from, to] = [vmFiles(old.directory), vmFiles(vm.directory)]
  const hostKey = knownHostsKey((await readIfExists(from.knownHosts)) ?? '', hostKeyAlias(old))
  if (hostKey !== undefined) await writeFileAtomic(to.knownHosts, `${knownHostsLine(hostKeyAlias(vm), hostKey)}\n`)
  for (const file of ['privateKey', 'publicKey', 'agentKey'] as const) {
    const content = await readIfExists(from[file])
    if (content !== undefined) await writeFileAtomic(to[file], content)
  }
  const {cloudInit} = vm.spec
  if (!cloudInit) return
  const madeKey = (await readIfExists(to.publicKey))?.trimEnd()
  await writeSeed(to.seed, await seedDocuments(vm, cloudInit, {...given, hostKey: undefined, madeKey}), new Date(vm.createdAt))
}

/**
 * Takes the private host key out of the seed, once the guest has it.
 *
 * The seed itself must stay: cloud-init that finds none at a later boot takes the guest for a new one and makes other host
 * keys. So one without secrets takes its place, under the same instance id, also in the drive of the running guest; the old
 * one is overwritten and removed. Every act may be repeated, so a vmctl that was killed in between starts from the front.
 * @param given as to `writeCredentials`
 * @param showSeed lets a running guest see the seed.iso of now, and lets go of the one before
 * @returns why the seed stays as it is, when it does
 */
export const detachSeed = async (vm: Vm, given: SeedContent, showSeed: () => Promise<void>): Promise<string | undefined> => {
  const {cloudInit} = vm.spec
  const {seed, spentSeed, publicKey} = vmFiles(vm.directory)
  if (!cloudInit || !(await pathExists(seed))) return undefined
  for (const {path, sha256} of sourcesOf(cloudInit))
    if ((await hashIfExists(path)) !== sha256) return `${path} is not what it was when the VM was made`
  await link(seed, spentSeed).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw ioError('link', spentSeed, error)
  })
  const madeKey = (await readIfExists(publicKey))?.trimEnd()
  const clean = await seedDocuments(vm, cloudInit, {...given, hostKey: undefined, madeKey})
  await writeSeed(seed, clean, new Date(vm.createdAt))
  await showSeed()
  await wipe(spentSeed)
  await syncDirectory(vm.directory)
  return undefined
}

/** Overwrites a file before its name goes. On a file system that writes elsewhere (copy on write, flash) this is no more than a removal. */
const wipe = async (path: string): Promise<void> => {
  const {size} = await stat(path)
  await act(`wipe ${path}`, async () => {
    const handle = await open(path, 'r+')
    try {
      await handle.write(Buffer.alloc(size), 0, size, 0)
      await handle.sync()
    } finally {
      await handle.close()
    }
  })
  await remove(path)
}

const hashIfExists = (path: string): Promise<string | undefined> => hashFile(path).catch(() => undefined)

const makeUserKey = async (vm: Vm): Promise<string> => {
  const files = vmFiles(vm.directory)
  const pair = generateKeyPair(`vmctl ${vm.name}`, vm.spec.ssh?.keyType)
  await remove(files.publicKey)
  await writeFileAtomic(files.privateKey, pair.privateKey)
  await writeFileAtomic(files.publicKey, `${pair.publicKey}\n`)
  return pair.publicKey
}
