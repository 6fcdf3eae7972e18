import type {BigIntStats} from 'node:fs'
import {stat} from 'node:fs/promises'
import {basename, dirname} from 'node:path'
import {isDeepStrictEqual} from 'node:util'

import {hashFile} from '../host/hash.ts'
import {systemCode, VmctlError} from '../model/errors.ts'
import type {Vm} from '../model/vm.ts'
import type {VmfileTraits} from '../model/vmfile-traits.ts'
import type {Engine} from './engine.ts'
import {readVmfile, type Vmfile} from './load.ts'

/**
 * Whose a VM is. A path is a name and not the thing: a project may have been moved, or be mounted in two places. So a VMFile is
 * also known by what it is.
 *
 * `own`: this VMFile made it, under this path or another one. `moved`: the VMFile that made it is gone, and this is the same one.
 * `abandoned`: that VMFile is gone, and this is another one. `other`: another VMFile, or `vmctl create`, made it.
 */
type Ownership = 'own' | 'moved' | 'abandoned' | 'other'

const ownership = async (vm: Vm, path: string): Promise<Ownership> => {
  if (vm.vmfile === path) return 'own'
  if (vm.vmfile === undefined) return 'other'
  const [made, here] = await Promise.all([lookAt(vm.vmfile), lookAt(path)])
  if (typeof here === 'string' || made === 'unknown') return 'other'
  if (made !== 'missing') return isSame(made, here) ? 'own' : 'other'
  const {vmfileTraits} = await traitsOf(path)
  return vmfileTraits && hasTraits(vm, path, vmfileTraits) ? 'moved' : 'abandoned'
}

const hasTraits = ({vmfile = '', vmfileTraits: known}: Vm, path: string, traits: VmfileTraits): boolean =>
  known !== undefined && (known.sha256 === traits.sha256 || (known.directory === traits.directory && basename(vmfile) === basename(path)))

/** Whether a VM is to be thought of as one of the VMFile at a path. */
export const belongsTo = async (vm: Vm, path: string): Promise<boolean> => ['own', 'moved'].includes(await ownership(vm, path))

/** Those VMs that are to be thought of as some of the VMFile at a path. */
export const ofVmfile = async (vms: readonly Vm[], path: string): Promise<readonly Vm[]> => {
  const belong = await Promise.all(vms.map((vm) => belongsTo(vm, path)))
  return vms.filter((_, index) => belong[index])
}

/** By what a VMFile is recognised when it was moved, for the record; nothing for one that was only ever a text. */
export const traitsOf = async (path: string): Promise<Pick<Vm, 'vmfileTraits'>> => {
  const directory = await lookAt(dirname(path))
  if (typeof directory === 'string' || typeof (await lookAt(path)) === 'string') return {}
  return {vmfileTraits: {directory: `${directory.dev}:${directory.ino}`, sha256: await hashFile(path)}}
}

const isSame = (one: BigIntStats, other: BigIntStats): boolean => one.dev === other.dev && one.ino === other.ino

const lookAt = async (path: string): Promise<BigIntStats | 'missing' | 'unknown'> => {
  try {
    return await stat(path, {bigint: true})
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '') ? 'missing' : 'unknown'
  }
}

/** A VM as a VMFile sees it. */
export interface Claim {
  /** Its record as it is to be from now on: its paths are those of this VMFile. */
  readonly vm: Vm
  /** Whether the record has to be written. */
  readonly isNew: boolean
  /** What the user wants to know of that. */
  readonly notice?: string
}

/**
 * Makes sure that a VM is one of this VMFile. Reads only.
 * @param adopt whether the user wants the VM also when nothing shows that it is
 * @throws VmctlError `vmctl::vm::owned_elsewhere`
 */
export const claim = async (
  engine: Engine,
  vm: Vm,
  {vmfile, adopt}: {readonly vmfile: Vmfile; readonly adopt: boolean},
): Promise<Claim> => {
  const owner = await ownership(vm, vmfile.path)
  if (owner === 'own') {
    const moved = relocate(vm, vmfile.path)
    if (vm.vmfile !== vmfile.path) return {vm: moved, isNew: false}
    const traits = await traitsOf(vmfile.path)
    return {vm: {...vm, ...traits}, isNew: traits.vmfileTraits !== undefined && !isDeepStrictEqual(traits.vmfileTraits, vm.vmfileTraits)}
  }
  if (owner !== 'moved') await requireAdoption(engine, vm, {vmfile, adopt, isAbandoned: owner === 'abandoned'})
  return {
    vm: {...relocate(vm, vmfile.path), vmfile: vmfile.path, ...(await traitsOf(vmfile.path))},
    isNew: true,
    notice: `was made by ${makerOf(vm)}${vm.vmfile === undefined ? '' : `, which is gone`}; it belongs to ${vmfile.path} now`,
  }
}

const makerOf = ({vmfile}: Vm): string => vmfile ?? '`vmctl create`'

const requireAdoption = async (
  engine: Engine,
  vm: Vm,
  {vmfile, adopt, isAbandoned}: {readonly vmfile: Vmfile; readonly adopt: boolean; readonly isAbandoned: boolean},
): Promise<void> => {
  const {name} = vm
  const isFree = isAbandoned || vm.vmfile === undefined || !(await defines(engine, vm.vmfile, name))
  if (adopt && isFree) return
  const gone = isAbandoned ? ', which is gone' : ''
  throw new VmctlError(
    'vmctl::vm::owned_elsewhere',
    `A VM named ${name} exists already; it was made by ${makerOf(vm)}${gone}, not by ${vmfile.path}.`,
    {
      help: isFree
        ? `If it is to be this VMFile's from now on, add \`--adopt\`. Else rename the VM here, or remove that one: \`vmctl destroy ${name}\`.`
        : `Rename the VM in one of the two VMFiles, or destroy the existing one from its own: \`vmctl down --destroy --name ${name} --file ${makerOf(vm)}\`.${adopt ? ' A VM that its VMFile still defines cannot be adopted.' : ''}`,
      details: {vm: name, owner: vm.vmfile},
    },
  )
}

/** Whether a VMFile still has a VM of that name. One that cannot be read may have it. */
const defines = async (engine: Engine, path: string, name: string): Promise<boolean> => {
  try {
    const {vms} = await readVmfile(engine, path, {toleratesMissing: true})
    return vms.some((spec) => spec.name === name)
  } catch {
    return true
  }
}

/** A record whose paths below the directory of its old VMFile are below that of the new one. */
const relocate = (vm: Vm, path: string): Vm => {
  if (vm.vmfile === undefined) return vm
  const from = dirname(vm.vmfile)
  const to = dirname(path)
  const {spec, base} = vm
  return {...vm, spec: movePaths(spec, from, to), base: movePaths(base, from, to)}
}

const movePaths = <T>(value: T, from: string, to: string): T => {
  const move = (one: unknown): unknown => {
    if (typeof one === 'string') return one === from || one.startsWith(`${from}/`) ? `${to}${one.slice(from.length)}` : one
    if (Array.isArray(one)) return one.map(move)
    if (typeof one !== 'object' || one === null) return one
    return Object.fromEntries(Object.entries(one).map(([key, inner]) => [key, move(inner)]))
  }
  return move(value) as T
}
