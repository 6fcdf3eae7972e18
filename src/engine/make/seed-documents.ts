import {readFile} from 'node:fs/promises'

import {metaData, userData, vendorData} from '../../guest/seed/cloud-init.ts'
import type {BootPrograms, CloudInitBlock} from '../../guest/seed/cloud-init-block.ts'
import {mergeDocuments} from '../../guest/seed/cloud-init-merge.ts'
import type {KeyPair} from '../../guest/keys/keys.ts'
import {identityProgram} from '../../guest/seed/identity-program.ts'
import {type GuestSetup, setupHashes, setupScript} from '../../guest/setup/script.ts'
import {ioError} from '../../host/files.ts'
import type {CloudInitConfig, HashedFile, SeedDocuments} from '../../model/cloud-init.ts'
import type {Vm, VmSpec} from '../../model/vm.ts'
import {identityOf, sshUser} from '../reach/identity.ts'

/** What a seed carries besides credentials. */
export interface SeedContent {
  readonly setup: GuestSetup
  /** For a guest on networks, unless the user brings one; absent for a guest whose own defaults do. */
  readonly networkConfig?: string | undefined
}

interface Contents extends SeedContent {
  readonly hostKey: KeyPair | undefined
  /** The public key that vmctl made for the user. */
  readonly madeKey: string | undefined
}

/** Whether a user-data file takes the place of everything that vmctl would write. */
export const isRaw = ({userData: file, merge}: CloudInitConfig): boolean => file !== undefined && !merge

/** The files of the host that the seed of a block is made of. */
export const sourcesOf = ({userData: file, vendorData: vendor, networkConfig, writeFiles = []}: CloudInitConfig): readonly HashedFile[] =>
  [file, vendor, networkConfig, ...writeFiles.map(({source}) => source)].filter((one) => one !== undefined)

/** The documents of a VM's seed. The same ones come out again after the first boot, but for the host key, while no file has changed. */
export const seedDocuments = async (vm: Vm, cloudInit: CloudInitConfig, contents: Contents): Promise<SeedDocuments> => {
  const networkConfig = cloudInit.networkConfig ? await readBytes(cloudInit.networkConfig.path) : contents.networkConfig
  const vendor = await vendorDocument(vm, cloudInit, contents)
  return {
    metaData: metaData({instanceId: `${vm.name}-${identityOf(vm)}`, hostname: cloudInit.hostname}),
    userData: await userDocument(vm, cloudInit, contents),
    ...(vendor !== undefined && {vendorData: vendor}),
    ...(networkConfig !== undefined && {networkConfig}),
  }
}

const userDocument = async (vm: Vm, cloudInit: CloudInitConfig, contents: Contents): Promise<string | Uint8Array> => {
  const {userData: file, sshKeys, user} = cloudInit
  const theirs = file && (await readBytes(file.path))
  if (theirs && isRaw(cloudInit)) return theirs
  const {madeKey} = contents
  const ours = userData({
    user: user ?? sshUser(vm),
    ...ownerOf(vm.spec),
    authorizedKeys: [...(madeKey === undefined ? [] : [madeKey]), ...sshKeys],
    ...necessities(vm, contents),
    os: vm.spec.image.os ?? 'systemd',
    block: await blockOf(vm, cloudInit),
  })
  return theirs ? mergeDocuments(theirs, ours) : ours
}

/**
 * Shared files keep the owner that they have here, so the user of the guest gets the number of the one here, and may do there what
 * that one may. Numbers below 1000 belong to a distribution's own accounts.
 */
const ownerOf = ({shares = []}: VmSpec): {uid?: number} => {
  const uid = process.getuid?.() ?? 0
  return shares.length > 0 && uid >= 1000 ? {uid} : {}
}

/** That of the user, and, beside user-data that is not ours, what vmctl cannot do without. */
const vendorDocument = async (vm: Vm, cloudInit: CloudInitConfig, contents: Contents): Promise<string | Uint8Array | undefined> => {
  const file = cloudInit.vendorData
  const theirs = file && (await readBytes(file.path))
  const ours = necessities(vm, contents)
  if (!isRaw(cloudInit) || Object.keys(ours).length === 0) return theirs
  return theirs ? mergeDocuments(theirs, vendorData(ours)) : vendorData(ours)
}

const necessities = ({id, derivedFrom}: Vm, {hostKey, setup}: Contents): {hostKey?: KeyPair; programs?: BootPrograms} => {
  const programs = {
    ...(derivedFrom !== undefined && {identity: identityProgram(id, 'seeded')}),
    ...(Object.keys(setupHashes(setup)).length > 0 && {setup: setupScript(setup)}),
  }
  return {...(hostKey && {hostKey}), ...(Object.keys(programs).length > 0 && {programs})}
}

/** What is done once was done on a disk that was another's already. */
const blockOf = async ({spec: {dockerfile}, derivedFrom}: Vm, asked: CloudInitConfig): Promise<CloudInitBlock> => {
  const {packages: _packages, packageUpdate: _update, packageUpgrade: _upgrade, ...lasting} = asked
  const cloudInit = derivedFrom === undefined ? asked : {...lasting, writeFiles: [], runCommands: []}
  const {writeFiles = [], runCommands = []} = cloudInit
  const files = await Promise.all(
    writeFiles.map(async ({path, content, source, mode, owner}) => ({
      path,
      content: source ? await readBytes(source.path) : Buffer.from(content ?? ''),
      mode,
      owner,
    })),
  )
  // A Dockerfile comes before runcmd, so they are steps of the provisioning then.
  return {...cloudInit, files, runCommands: dockerfile ? [] : runCommands}
}

const readBytes = (path: string): Promise<Uint8Array> =>
  readFile(path).catch((error: unknown) => {
    throw ioError('read', path, error)
  })
