import {realpath} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'

import {resolvePath} from '../host/paths.ts'
import {factsOf, isVmctlError, VmctlError} from '../model/errors.ts'
import {didYouMean, isVmName} from '../model/names.ts'
import type {Vm} from '../model/vm.ts'
import {listVmNames, listVms, requireVm} from '../store/store.ts'
import {defaultName, nearestVmfile} from '../vmfile/index.ts'
import type {Engine} from './engine.ts'
import {readVmfile, type Vmfile} from './load.ts'
import {matching} from './plan/names.ts'
import {ofVmfile} from './owner.ts'

export interface FindOptions {
  /** `--file` as the user wrote it; `$VMCTL_FILE` or the nearest VMFile.kdl when absent. */
  readonly file?: string | undefined
  /** Where relative paths start. */
  readonly directory: string
  /** Whether the name of a project stands for its VMs; true when absent. */
  readonly projects?: boolean
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

/**
 * The same for verbs that need a VM to exist. Of the VMs of a VMFile, which nobody has named, those that are not created yet are
 * left out, each with a notice.
 */
export const findCreated = async (
  engine: Engine,
  asked: readonly string[],
  options: FindOptions & {readonly vmfile: Vmfile | undefined},
): Promise<readonly string[]> => {
  const names = await findVms(engine, asked, options)
  if (asked.length > 0) return names
  const created = new Set(await listVmNames(engine.store))
  for (const vm of names) if (!created.has(vm)) await engine.emit({type: 'vm.notice', vm, message: notCreatedYet})
  return names.filter((name) => created.has(name))
}

const notCreatedYet = 'is not created yet; `vmctl up` creates it'

/** The one VM that a word stands for. Throws `vmctl::usage::invalid` for a service with several replicas. */
export const findVm = async (engine: Engine, word: string, options: FindOptions): Promise<string> => {
  const names = await resolveVms(engine, word, options)
  const [only, ...others] = names
  if (only !== undefined && others.length === 0) return only
  throw new VmctlError('vmctl::usage::invalid', `${word} stands for ${names.length} VMs: ${names.join(', ')}.`, {help: 'Name one of them.'})
}

/** A VM that a verb was asked for. */
export interface Named {
  readonly name: string
  /** That it is not created yet, for a verb that has something to do all the same and says so then. */
  readonly absent?: VmctlError
}

/**
 * The VMs that words stand for, one each and each once, for a verb that cannot be undone.
 * @throws VmctlError before anything is done when one of several words stands for no VM that exists
 */
export const findEach = async (engine: Engine, words: readonly string[], options: FindOptions): Promise<readonly Named[]> => {
  const find = async (word: string): Promise<Named> => {
    try {
      return {name: await findVm(engine, word, {...options, projects: false})}
    } catch (error) {
      const [name, ...others] = factsOf(error).vms ?? []
      if (words.length > 1 || !isVmctlError(error) || name === undefined || others.length > 0) throw error
      return {name, absent: error}
    }
  }
  const found = new Map((await Promise.all(words.map(find))).map((named) => [named.name, named]))
  const existing = new Set(await listVmNames(engine.store))
  if (found.size > 1) for (const name of found.keys()) if (!existing.has(name)) await requireVm(engine.store, name)
  return [...found.values()]
}

/**
 * The VM that a verb on one VM means when none is named: the only one of the VMFile.
 * @param verb of the advice
 */
export const onlyVm = (vmfile: Vmfile | undefined, verb = 'ssh'): string => {
  const known = vmfile?.vms.map(({name}) => name) ?? []
  const [only] = known
  if (known.length === 1 && only !== undefined) return only
  throw new VmctlError(
    'vmctl::usage::invalid',
    known.length === 0
      ? 'No VM is named, and there is no VMFile here that defines one.'
      : `The VMFile defines several VMs: ${known.join(', ')}.`,
    {help: `Name one: \`vmctl ${verb} NAME\`.`},
  )
}

/**
 * The VM of that very name, else those that the VMFile of this directory calls so, else those of a project of that name. A VM is
 * reached while its VMFile is broken or gone: the file is read only to tell why there is none.
 * @returns names in the state directory; only what was asked for when nothing is known by it, which the verb then reports
 * @throws VmctlError `vmctl::vm::not_found` when the VMFile defines it but has not made it yet, or only other VMFiles have made one
 */
const resolveVms = async (engine: Engine, asked: string, options: FindOptions): Promise<readonly string[]> => {
  if (!isVmName(asked) || (await listVmNames(engine.store)).includes(asked)) return [asked]
  // A VM whose record is damaged answers to its full name only.
  const vms = await listVms(engine.store)
  const path = await vmfilePath(engine, options)
  const called = (all: readonly Vm[]): readonly string[] =>
    matching(
      all.map(({spec}) => spec),
      asked,
    ).map(({name}) => name)
  const here = called(await ofVmfile(vms, path))
  if (here.length > 0) return here
  const defined = await definedHere(engine, path, asked)
  if (defined.length > 0) throw notCreated(defined, path)
  const ofProject = options.projects === false ? [] : vms.filter(({spec}) => spec.project === asked).map(({name}) => name)
  if (ofProject.length > 0) return ofProject
  const elsewhere = called(vms)
  if (elsewhere.length === 0) return [asked]
  throw new VmctlError('vmctl::vm::not_found', `${path} has made no VM named ${JSON.stringify(asked)}.`, {
    help: `${didYouMean(...elsewhere)} Run \`vmctl list\` to see the VMs that exist.`,
  })
}

/** What a VMFile calls so, as far as it can be read. */
const definedHere = async (engine: Engine, path: string, asked: string): Promise<readonly string[]> => {
  const vmfile = await readVmfile(engine, path, {toleratesMissing: true}).catch(() => undefined)
  engine.signal.throwIfAborted()
  return vmfile ? matching(vmfile.vms, asked).map(({name}) => name) : []
}

const notCreated = (names: readonly string[], vmfile: string): VmctlError =>
  new VmctlError(
    'vmctl::vm::not_found',
    `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} not created yet; ${vmfile} defines ${names.length === 1 ? 'it' : 'them'}.`,
    {
      help: `Create and start ${names.length === 1 ? 'it' : 'them'} with \`vmctl up ${names.join(' ')}\`.`,
      vms: names,
      details: {vmfile},
    },
  )

/** As a VM's record names its VMFile: absolute, in a directory without symbolic links. */
const vmfilePath = async ({env}: Engine, {file, directory}: FindOptions): Promise<string> => {
  const path = resolvePath(file || env.VMCTL_FILE || (nearestVmfile(directory) ?? defaultName), directory)
  const real = await realpath(dirname(path)).catch(() => dirname(path))
  return join(real, basename(path))
}
