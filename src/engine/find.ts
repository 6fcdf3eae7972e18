import {VmctlError} from '../model/errors.ts'
import {isCalled} from '../model/names.ts'
import {listVmNames, readVm, requireVm} from '../store/store.ts'
import type {Engine} from './engine.ts'
import type {Vmfile} from './load.ts'

/**
 * The names of the VMs that words on the command line stand for: the full name of a VM, or what a VMFile calls it (a service stands
 * for all of its replicas). The VMFile of this directory decides what a short name means, when there is one; else it must be clear.
 * @param asked all VMs of the VMFile when empty
 * @throws VmctlError `vmctl::vm::not_found`, or `vmctl::usage::invalid` for a word that could mean several projects
 */
export const findVms = async (engine: Engine, asked: readonly string[], vmfile: Vmfile | undefined): Promise<string[]> => {
  if (asked.length === 0) {
    if (vmfile) return vmfile.vms.map(({name}) => name)
    throw new VmctlError('vmctl::usage::invalid', 'No VM is named, and there is no VMFile here.', {
      help: 'Name a VM; `vmctl list` shows them.',
    })
  }
  const existing = await listVmNames(engine.store)
  const found = await Promise.all(asked.map((word) => findByWord(engine, word, {vmfile, existing})))
  return [...new Set(found.flat())]
}

const findByWord = async (
  engine: Engine,
  word: string,
  {vmfile, existing}: {vmfile: Vmfile | undefined; existing: readonly string[]},
): Promise<readonly string[]> => {
  const declared = vmfile?.vms.filter((spec) => isCalled(spec, word)).map(({name}) => name) ?? []
  if (declared.length > 0) return declared
  if (existing.includes(word)) return [word]
  // A VM whose record is damaged answers to its full name only.
  const vms = (await Promise.all(existing.map((name) => readVm(engine.store, name).catch(() => undefined)))).filter(
    (vm) => vm !== undefined,
  )
  const called = vms.filter(({spec}) => isCalled(spec, word))
  if (called.length === 0) await requireVm(engine.store, word)
  if (new Set(called.map((vm) => vm.spec.project)).size > 1) {
    const names = called.map(({name}) => name).join(', ')
    throw new VmctlError('vmctl::usage::invalid', `${word} could be ${names}.`, {help: 'Write the full name.'})
  }
  return called.map(({name}) => name)
}

/** The one VM that a word stands for. Throws `vmctl::usage::invalid` for a service with several replicas. */
export const findVm = async (engine: Engine, word: string | undefined, vmfile: Vmfile | undefined): Promise<string> => {
  const names = await findVms(engine, word === undefined ? [] : [word], vmfile)
  const [only, ...others] = names
  if (only !== undefined && others.length === 0) return only
  const said = word === undefined ? 'The VMFile defines several VMs' : `${word} stands for several VMs`
  throw new VmctlError('vmctl::usage::invalid', `${said}: ${names.join(', ')}.`, {help: 'Name one of them.'})
}
