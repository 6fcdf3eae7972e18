import {link, open, readFile, rm, stat} from 'node:fs/promises'

import {metaData, userData, vendorData} from '../guest/cloud-init.ts'
import {generateKeyPair, type KeyPair, knownHostsLine} from '../guest/keys.ts'
import {type SeedDocuments, writeSeed} from '../guest/seed-iso.ts'
import {type GuestSetup, setupHashes, setupScript} from '../guest/setup/script.ts'
import {act, remove, syncDirectory} from '../host/durable.ts'
import {ioError, readIfExists, writeFileAtomic} from '../host/files.ts'
import {hashFile} from '../host/hash.ts'
import {systemCode} from '../model/errors.ts'
import {vmFiles} from '../model/layout.ts'
import type {CloudInitConfig, Vm} from '../model/vm.ts'
import {hostKeyAlias, sshUser} from './access.ts'

/**
 * Makes what a guest needs in order to know us, and we it: the user's key pair unless one was given, the host key with
 * its known_hosts, and the cloud-init seed that carries them. Without a cloud-init block there is no seed and no key.
 */
export const writeCredentials = async (vm: Vm, setup: GuestSetup): Promise<void> => {
  const {cloudInit} = vm.spec
  if (!cloudInit) return
  const files = vmFiles(vm.directory)
  const hostKey = generateKeyPair(`${vm.name} host key`)
  await writeFileAtomic(files.knownHosts, `${knownHostsLine(hostKeyAlias(vm), hostKey.publicKey)}\n`)
  const madeKey = cloudInit.userData || cloudInit.sshKeys.length > 0 ? undefined : await makeUserKey(vm)
  await writeSeed(files.seed, await documents(vm, cloudInit, {hostKey, madeKey, setup}), new Date(vm.createdAt))
}

/**
 * Takes the private host key out of the seed, once the guest has it.
 *
 * The seed itself must stay: cloud-init that finds none at a later boot takes the guest for a new one and makes other host
 * keys. So one without secrets takes its place, under the same instance id, also in the drive of the running guest; the old
 * one is overwritten and removed. Every act may be repeated, so a vmctl that was killed in between starts from the front.
 * @param setup what the guest gets of its stack
 * @param showSeed lets a running guest see the seed.iso of now, and lets go of the one before
 * @returns why the seed stays as it is, when it does
 */
export const spendSeed = async (vm: Vm, setup: GuestSetup, showSeed: () => Promise<void>): Promise<string | undefined> => {
  const {cloudInit} = vm.spec
  const {seed, spentSeed, publicKey} = vmFiles(vm.directory)
  if (!cloudInit || !(await exists(seed))) return undefined
  if (cloudInit.userData && (await hashIfExists(cloudInit.userData.path)) !== cloudInit.userData.sha256)
    return `${cloudInit.userData.path} is not what it was when the VM was made`
  await act('keep the spent seed', () => link(seed, spentSeed)).catch((error: unknown) => {
    if (systemCode(error) !== 'EEXIST') throw ioError('link', spentSeed, error)
  })
  const madeKey = (await readIfExists(publicKey))?.trimEnd()
  const clean = await documents(vm, cloudInit, {hostKey: undefined, madeKey, setup})
  await writeSeed(seed, clean, new Date(vm.createdAt))
  await showSeed()
  await wipe(spentSeed)
  await syncDirectory(vm.directory)
  return undefined
}

interface Contents {
  readonly setup: GuestSetup
  readonly hostKey: KeyPair | undefined
  /** The public key that vmctl made for the user. */
  readonly madeKey: string | undefined
}

const documents = async (vm: Vm, cloudInit: CloudInitConfig, {hostKey, madeKey, setup}: Contents): Promise<SeedDocuments> => {
  const given = Object.keys(setupHashes(setup)).length === 0 ? {} : {setupScript: setupScript(setup)}
  const identity = metaData({instanceId: `${vm.name}-${vm.id}`, hostname: cloudInit.hostname})
  if (!cloudInit.userData) {
    const authorizedKeys = cloudInit.sshKeys.length > 0 ? cloudInit.sshKeys : madeKey === undefined ? [] : [madeKey]
    return {metaData: identity, userData: userData({user: cloudInit.user ?? sshUser(vm), authorizedKeys, hostKey, ...given})}
  }
  const {path} = cloudInit.userData
  const raw = await readFile(path).catch((error: unknown) => {
    throw ioError('read', path, error)
  })
  const ours = {...(hostKey && {hostKey}), ...given}
  return {metaData: identity, userData: raw, ...(Object.keys(ours).length > 0 && {vendorData: vendorData(ours)})}
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

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

const makeUserKey = async (vm: Vm): Promise<string> => {
  const files = vmFiles(vm.directory)
  const pair = generateKeyPair(`vmctl ${vm.name}`)
  await rm(files.publicKey, {force: true})
  await writeFileAtomic(files.privateKey, pair.privateKey)
  await writeFileAtomic(files.publicKey, `${pair.publicKey}\n`)
  return pair.publicKey
}
