import {generateKeyPair, type KeyPair, knownHostsKey, knownHostsLine} from '../../guest/keys/keys.ts'
import {remove} from '../../host/durable.ts'
import {readIfExists, writeFileAtomic} from '../../host/files.ts'
import {hashFile} from '../../host/hash.ts'
import type {SeedDocuments} from '../../model/cloud-init.ts'
import {vmFiles} from '../../model/layout.ts'
import type {Vm} from '../../model/vm.ts'
import {hostKeyAlias} from '../reach/identity.ts'
import {isRaw, type SeedContent, seedDocuments, sourcesOf} from './seed-documents.ts'

/** Gives the documents to the backend, as `seed` of it says. */
type GiveSeed = (documents: SeedDocuments) => Promise<void>

/**
 * Makes what a guest needs in order to know us, and we it: a key pair of vmctl's own, which is let in beside the keys of the user,
 * the host key with its known_hosts, and the cloud-init seed that carries them. Without a cloud-init block there is no seed and no
 * key; user-data of the user's own goes untouched, without a key.
 */
export const writeCredentials = async (vm: Vm, given: SeedContent, giveSeed: GiveSeed): Promise<void> => {
  const {cloudInit} = vm.spec
  if (!cloudInit) return
  const files = vmFiles(vm.directory)
  const hostKey = generateKeyPair(`${vm.name} host key`, vm.spec.ssh?.keyType)
  await writeFileAtomic(files.knownHosts, `${knownHostsLine(hostKeyAlias(vm), hostKey.publicKey)}\n`)
  const madeKey = isRaw(cloudInit) ? undefined : await makeUserKey(vm)
  await giveSeed(await seedDocuments(vm, cloudInit, {...given, hostKey, madeKey}))
}

/** Gives the seed of a guest that goes on as another one, and was given its host key already: it is to find the same at its next boot. */
export const renewSeed = async (
  vm: Vm,
  {hostKey, ...given}: SeedContent & {readonly hostKey: KeyPair},
  giveSeed: GiveSeed,
): Promise<void> => {
  const {cloudInit} = vm.spec
  if (!cloudInit) return
  const {knownHosts, publicKey} = vmFiles(vm.directory)
  await writeFileAtomic(knownHosts, `${knownHostsLine(hostKeyAlias(vm), hostKey.publicKey)}\n`)
  const madeKey = (await readIfExists(publicKey))?.trimEnd()
  await giveSeed(await seedDocuments(vm, cloudInit, {...given, hostKey, madeKey}))
}

/**
 * The same for a VM whose disk was that of `old`, so that its guest is the same machine: it knows its keys, and the seed tells it nothing
 * that it would take for those of another.
 */
export const inheritCredentials = async (vm: Vm, {old, ...given}: SeedContent & {readonly old: Vm}, giveSeed: GiveSeed): Promise<void> => {
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
  await giveSeed(await seedDocuments(vm, cloudInit, {...given, hostKey: undefined, madeKey}))
}

/**
 * Takes the private host key out of the seed, once the guest has it.
 *
 * The seed itself must stay: cloud-init that finds none at a later boot takes the guest for a new one and makes other host
 * keys. So one without secrets takes its place, under the same instance id, also in the drive of the running guest.
 * @param given as to `writeCredentials`
 * @returns why the seed stays as it is, when it does
 */
export const detachSeed = async (vm: Vm, given: SeedContent, giveSeed: GiveSeed): Promise<string | undefined> => {
  const {cloudInit} = vm.spec
  if (!cloudInit) return undefined
  for (const {path, sha256} of sourcesOf(cloudInit))
    if ((await hashIfExists(path)) !== sha256) return `${path} is not what it was when the VM was made`
  const madeKey = (await readIfExists(vmFiles(vm.directory).publicKey))?.trimEnd()
  await giveSeed(await seedDocuments(vm, cloudInit, {...given, hostKey: undefined, madeKey}))
  return undefined
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
