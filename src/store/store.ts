import {randomBytes} from 'node:crypto'
import {chmod, lstat, mkdir, readdir} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'

import {remove, rename, syncDirectory} from '../host/durable.ts'
import {ioError, isTemporaryName, makePrivateDirectory, readIfExists, readOwnIfExists, writeFileAtomic, pathExists} from '../host/files.ts'
import {acquireLock, type Lock, type LockOptions} from '../host/lock.ts'
import {seal, unseal} from '../host/sealed.ts'
import {isVmctlError, systemCode, VmctlError} from '../model/errors.ts'
import {vmFiles} from '../model/layout.ts'
import {withoutSecrets} from '../model/secrets.ts'
import {isVmName, suggest} from '../model/names.ts'
import type {Vm, VmSpec} from '../model/vm.ts'
import {readSaved} from './saved.ts'

/** Where everything of this user is kept; the list of VMs is what `vms/` holds, there is no other truth. */
export interface Store {
  readonly directory: string
  readonly vmsDirectory: string
  readonly lockDirectory: string
}

/**
 * Opens the state directory, and makes it when it does not exist (0700).
 * @throws VmctlError `vmctl::host::insecure_directory` when it belongs to another user or others may write to it
 */
export const openStore = async (directory: string): Promise<Store> => {
  const store = {directory, vmsDirectory: join(directory, 'vms'), lockDirectory: join(directory, 'locks')}
  await makePrivateDirectory(directory).catch((error: unknown) => {
    throw isVmctlError(error)
      ? error.reword({help: 'Name a directory that you can write to with `--state-dir` or VMCTL_STATE_DIR.'})
      : error
  })
  await requirePrivate(directory)
  await Promise.all([makePrivateDirectory(store.vmsDirectory), makePrivateDirectory(store.lockDirectory)])
  return store
}

const requirePrivate = async (directory: string): Promise<void> => {
  const info = await lstat(directory).catch((error: unknown) => {
    throw ioError('look at', directory, error)
  })
  const uid = process.getuid?.() ?? info.uid
  if (info.uid !== uid) {
    throw new VmctlError('vmctl::host::insecure_directory', `The state directory ${directory} belongs to another user.`)
  }
  if ((info.mode & 0o022) !== 0 && !info.isSymbolicLink()) {
    throw new VmctlError('vmctl::host::insecure_directory', `Others may write to the state directory ${directory}.`, {
      help: `Close it: \`chmod 700 ${directory}\`.`,
    })
  }
  if ((info.mode & 0o077) === 0 || info.isSymbolicLink()) return
  // Only what is vmctl's is closed (the usual one may hold plugins alone): as root, a slip would close /etc to everybody.
  const names = await readdir(directory)
  if (names.length > 0 && !names.includes('vms') && basename(directory) !== 'vmctl') {
    throw new VmctlError(
      'vmctl::host::insecure_directory',
      `The directory ${directory} holds other things than VMs, and others may look into it.`,
      {
        help: 'Name a new or an empty directory, or one that only you can enter.',
      },
    )
  }
  await chmod(directory, 0o700)
}

/** The directory of a VM. The name is checked, so that no name leads elsewhere. */
export const vmDirectory = (store: Store, name: string): string => {
  if (!isVmName(name)) throw new VmctlError('vmctl::vm::not_found', `"${name}" cannot be the name of a VM.`)
  return join(store.vmsDirectory, name)
}

/** Names of all VMs, sorted, damaged ones included. */
export const listVmNames = async (store: Store): Promise<string[]> => {
  const entries = await readdir(store.vmsDirectory, {withFileTypes: true})
  return entries
    .filter((entry) => entry.isDirectory() && isVmName(entry.name))
    .map((entry) => entry.name)
    .toSorted()
}

/** The directories of all VMs, those that are just being made too. */
export const vmDirectories = async (store: Store): Promise<string[]> => {
  const entries = await readdir(store.vmsDirectory, {withFileTypes: true})
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(store.vmsDirectory, entry.name))
}

/** What a directory of `vmDirectories` is of a VM that it is not itself: made, copied or removed; undefined for that of a VM that exists. */
export const stagedAs = (directoryName: string): {readonly kind: 'new' | 'copy' | 'gone'; readonly name: string} | undefined => {
  const [, kind, name] = /^\.(new|copy|gone)-(.+)-[0-9a-f]{12}$/.exec(directoryName) ?? []
  return name === undefined ? undefined : {kind: kind as 'new' | 'copy' | 'gone', name}
}

/** All VMs whose record can be read, sorted by name. */
export const listVms = async (store: Store): Promise<Vm[]> => {
  const vms = await Promise.all((await listVmNames(store)).map((name) => readVm(store, name).catch(() => undefined)))
  return vms.filter((vm) => vm !== undefined)
}

/**
 * Reads a VM's record without a lock; it is always whole.
 * @returns undefined when there is no such VM
 * @throws VmctlError `vmctl::vm::record_damaged`
 */
export const readVm = async (store: Store, name: string): Promise<Vm | undefined> => {
  const directory = vmDirectory(store, name)
  return readRecord(directory, name)
}

export const readRecord = async (directory: string, name: string): Promise<Vm | undefined> => {
  const path = vmFiles(directory).record
  const text = readOwnIfExists(path)
  if (text === undefined) {
    if (!(await pathExists(directory))) return undefined
    const older = await olderStore(directory, name)
    if (older !== undefined) throw new VmctlError('vmctl::vm::of_older_vmctl', `${name} is a VM of the older vmctl, on record in ${older}.`)
    throw new VmctlError('vmctl::vm::record_damaged', `The directory of the VM ${name} has no record ${path}.`)
  }
  const vm = parseRecord(text)
  if (!vm || vm.name !== name) throw new VmctlError('vmctl::vm::record_damaged', `The record of the VM ${name} cannot be read: ${path}.`)
  const saved = readSaved(directory, name)
  return {...vm, directory, ...(saved && {saved})}
}

/**
 * The store of the vmctl that was written in Rust has its VMs in the same directories, and all of its records in one file, by name.
 * @returns the path of that file, when it has the VM
 */
const olderStore = async (directory: string, name: string): Promise<string | undefined> => {
  const path = join(dirname(directory), '..', 'vms.json')
  try {
    const value: unknown = JSON.parse((await readIfExists(path)) ?? '{}')
    return isObject(value) && Object.hasOwn(value, name) ? path : undefined
  } catch {
    return undefined
  }
}

/** Like `readVm`, for verbs that need the VM to exist. Suggests the name that was probably meant. */
export const requireVm = async (store: Store, name: string): Promise<Vm> => {
  const vm = isVmName(name) ? await readVm(store, name) : undefined
  if (vm) return vm
  const names = await listVmNames(store)
  throw new VmctlError('vmctl::vm::not_found', `There is no VM named ${JSON.stringify(name)}.`, {
    help: suggest(name, names, 'Run `vmctl list` to see the VMs that exist.'),
  })
}

const parseRecord = (text: string): Vm | undefined => {
  try {
    const value = unseal(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Checks the shape that everything else relies on; what is below `spec` was written by vmctl itself after validation. */
const isRecord = (value: unknown): value is Vm =>
  isObject(value) &&
  value.schema === 1 &&
  typeof value.id === 'string' &&
  /^[0-9a-f-]{36}$/.test(value.id) &&
  hasTexts(value, 'name', 'backend', 'createdAt') &&
  ['prepared', 'started'].includes(String(value.phase)) &&
  isObject(value.base) &&
  hasTexts(value.base, 'path') &&
  isObject(value.spec) &&
  isSpec(value.spec)

const isSpec = (spec: Record<string, unknown>): boolean =>
  typeof spec.vcpus === 'number' &&
  typeof spec.memoryMiB === 'number' &&
  isObject(spec.image) &&
  hasTexts(spec.image, 'kind', 'source') &&
  isObject(spec.network) &&
  hasTexts(spec.network, 'type') &&
  (spec.cloudInit === undefined || (isObject(spec.cloudInit) && hasTexts(spec.cloudInit, 'hostname'))) &&
  isListOf(spec.provision, (step) => hasTexts(step, 'type') && isObject(step.settings)) &&
  Object.entries(lists).every(([field, isElement]) => spec[field] === undefined || isListOf(spec[field], isElement))

/** The lists of a spec, and what their elements are known by. */
const lists = {
  networks: ({network}) => isObject(network) && hasTexts(network, 'id', 'name'),
  ports: (port) => hasTexts(port, 'protocol', 'bind') && typeof port.guest === 'number',
  volumes: ({volume}) => isObject(volume) && hasTexts(volume, 'id', 'name'),
  shares: (share) => hasTexts(share, 'source', 'target'),
  devices: (device) => hasTexts(device, 'address'),
  dependsOn: (dependency) => hasTexts(dependency, 'vm', 'condition'),
} satisfies Partial<Record<keyof VmSpec, (element: Record<string, unknown>) => boolean>>

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const hasTexts = (value: Record<string, unknown>, ...names: readonly string[]): boolean =>
  names.every((name) => typeof value[name] === 'string')

const isListOf = (value: unknown, isElement: (element: Record<string, unknown>) => boolean): boolean =>
  Array.isArray(value) && value.every((element) => isObject(element) && isElement(element))

/** Writes a VM's record as a whole, without the values of secrets. The caller holds the VM's lock. */
export const writeVm = async (vm: Vm): Promise<void> => {
  // What is saved has a record of its own: no older copy of this one may bring it back.
  const {directory, saved: _saved, ...rest} = vm
  const record = {...rest, spec: withoutSecrets(vm.spec)}
  await writeFileAtomic(vmFiles(directory).record, seal(record))
}

/**
 * Makes an empty directory in which a VM is put together before it gets its name, by `adoptDirectory`; or one for a copy of a VM, which
 * never gets one.
 */
export const stageDirectory = async (store: Store, name: string, kind: 'new' | 'copy' = 'new'): Promise<string> => {
  const directory = join(store.vmsDirectory, `.${kind}-${name}-${randomBytes(6).toString('hex')}`)
  try {
    await mkdir(directory, {mode: 0o700})
  } catch (error) {
    throw ioError('make the directory', directory, error)
  }
  return directory
}

/** Gives a staged VM its name, in place of whatever had it. The caller holds the VM's lock and has destroyed the old one's processes. */
export const adoptDirectory = async (store: Store, staged: string, name: string): Promise<string> => {
  const directory = vmDirectory(store, name)
  await removeVm(store, name)
  await rename(staged, directory)
  await syncDirectory(store.vmsDirectory)
  return directory
}

/** Forgets a VM in one step and then removes its files. Does nothing when there is none. */
export const removeVm = async (store: Store, name: string): Promise<void> => {
  const directory = vmDirectory(store, name)
  const doomed = join(store.vmsDirectory, `.gone-${name}-${randomBytes(6).toString('hex')}`)
  try {
    await rename(directory, doomed)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw ioError('remove', directory, error)
  }
  await syncDirectory(store.vmsDirectory)
  await removeTree(doomed)
}

/** Removes what a killed vmctl has left of this VM: half-made and half-removed directories, temporary files. The caller holds the VM's lock. */
export const sweepLeftovers = async (store: Store, name: string): Promise<void> => {
  for (const path of await stagedOf(store, name, 'new|gone')) await removeTree(path)
  const directory = vmDirectory(store, name)
  for (const entry of await readdir(directory).catch(() => [])) {
    if (isTemporaryName(entry)) await removeTree(join(directory, entry))
  }
}

/** The directories of the copies of a VM, which may be of a vmctl at work: who holds the lock of the copies knows that they are not. */
export const copiesOf = (store: Store, name: string): Promise<readonly string[]> => stagedOf(store, name, 'copy')

const stagedOf = async (store: Store, name: string, kinds: string): Promise<readonly string[]> => {
  const pattern = new RegExp(`^\\.(?:${kinds})-${name.replaceAll('.', String.raw`\.`)}-[0-9a-f]{12}$`)
  return (await readdir(store.vmsDirectory)).filter((entry) => pattern.test(entry)).map((entry) => join(store.vmsDirectory, entry))
}

const removeTree = async (path: string): Promise<void> => {
  try {
    await remove(path)
  } catch (error) {
    throw ioError('remove', path, error)
  }
}

/** Takes the lock of one VM. It lies outside of the VM's directory, which may come and go under it. */
export const lockVm = (store: Store, name: string, options: LockOptions): Promise<Lock> => {
  vmDirectory(store, name)
  return acquireLock(join(store.lockDirectory, `vm-${name}`), options)
}

/** Takes the lock of the copies of one VM, which lets the VM itself be used meanwhile. */
export const lockCopies = (store: Store, name: string, options: LockOptions): Promise<Lock> => {
  vmDirectory(store, name)
  return acquireLock(join(store.lockDirectory, `copies-${name}`), options)
}
