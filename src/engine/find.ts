import {realpath} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'

import {resolvePath} from '../host/paths.ts'
import {VmctlError} from '../model/errors.ts'
import {isVmName} from '../model/names.ts'
import {listVmNames, listVms} from '../store/store.ts'
import {defaultName} from '../vmfile/index.ts'
import type {Engine} from './engine.ts'
import type {Vmfile} from './load.ts'
import {matching} from './names.ts'

export interface FindOptions {
  /** `--file` as the user wrote it; `$VMCTL_FILE` or ./VMFile.kdl when absent. */
  readonly file?: string | undefined
  /** Where relative paths start. */
  readonly directory: string
}

/**
 * The VMs that words on the command line stand for, each once.
 * @param asked all VMs of the VMFile when empty
 * @throws VmctlError `vmctl::vm::not_found`, or `vmctl::usage::invalid` when nothing is named and there is no VMFile
 */
export const findVms = async (
  engine: Engine,
  asked: readonly string[],
  {vmfile, ...options}: FindOptions & {readonly vmfile: Vmfile | undefined},
): Promise<readonly string[]> => {
  if (asked.length === 0) {
    if (vmfile) return vmfile.vms.map(({name}) => name)
    throw new VmctlError('vmctl::usage::invalid', 'No VM is named, and there is no VMFile here.', {
      help: 'Name a VM; `vmctl list` shows them.',
    })
  }
  const found = await Promise.all(asked.map((word) => resolveVms(engine, word, options)))
  return [...new Set(found.flat())]
}

/** The one VM that a word stands for. Throws `vmctl::usage::invalid` for a service with several replicas. */
export const findVm = async (engine: Engine, word: string, options: FindOptions): Promise<string> => {
  const names = await resolveVms(engine, word, options)
  const [only, ...others] = names
  if (only !== undefined && others.length === 0) return only
  throw new VmctlError('vmctl::usage::invalid', `${word} stands for ${names.length} VMs: ${names.join(', ')}.`, {help: 'Name one of them.'})
}

/**
 * The VM of that very name, else those that the VMFile of this directory calls so. The file is not read, so that a VM can be
 * reached while its VMFile is broken or gone.
 * @returns names in the state directory; only what was asked for when nothing is known by it, which the verb then reports
 * @throws VmctlError `vmctl::vm::not_found` when only other VMFiles have VMs of that name
 */
const resolveVms = async (engine: Engine, asked: string, options: FindOptions): Promise<readonly string[]> => {
  if (!isVmName(asked) || (await listVmNames(engine.store)).includes(asked)) return [asked]
  // A VM whose record is damaged answers to its full name only.
  const vms = await listVms(engine.store)
  const path = await vmfilePath(engine, options)
  const called = (all: typeof vms): readonly string[] =>
    matching(
      all.map(({spec}) => spec),
      asked,
    ).map(({name}) => name)
  const here = called(vms.filter(({vmfile}) => vmfile === path))
  if (here.length > 0) return here
  const elsewhere = called(vms)
  if (elsewhere.length === 0) return [asked]
  throw new VmctlError('vmctl::vm::not_found', `${path} has made no VM named ${JSON.stringify(asked)}.`, {
    help: `Did you mean ${elsewhere.join(' or ')}? Run \`vmctl list\` to see the VMs that exist.`,
  })
}

/** VMs that this VMFile has made and no longer defines: renamed, taken out, or a replica too many. No verb for the file touches them. */
export const findStrays = async (engine: Engine, vmfile: Vmfile): Promise<readonly string[]> => {
  const defined = new Set(vmfile.vms.map(({name}) => name))
  const made = (await listVms(engine.store)).filter((vm) => vm.vmfile === vmfile.path)
  return made.map(({name}) => name).filter((name) => !defined.has(name))
}

/** What is said of a stray. */
export const strayNotice = (name: string): string => `is no longer in the VMFile and is left as it is; \`vmctl destroy ${name}\` removes it`

/** As a VM's record names its VMFile: absolute, in a directory without symbolic links. */
const vmfilePath = async ({env}: Engine, {file, directory}: FindOptions): Promise<string> => {
  const path = resolvePath(file || env.VMCTL_FILE || defaultName, directory)
  const real = await realpath(dirname(path)).catch(() => dirname(path))
  return join(real, basename(path))
}
