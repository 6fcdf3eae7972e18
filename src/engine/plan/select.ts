import {VmctlError} from '../../model/errors.ts'
import {suggest} from '../../model/names.ts'
import type {VmSpec} from '../../model/vm.ts'
import type {Vmfile} from '../../vmfile/index.ts'
import {knownNames, matching} from './names.ts'
import {withDependencies} from './order.ts'
import type {Verb} from './vm-plan.ts'

export interface Selection {
  readonly vmfile: Vmfile
  readonly verb: Verb
  /** Only these VMs (and for `up` what they depend on); all of the file when absent. */
  readonly names?: readonly string[] | undefined
  /** Leaves alone what the named VMs depend on. */
  readonly noDependencies?: boolean | undefined
  /** Only VMs that start with the computer, and what they depend on. */
  readonly autostart?: boolean | undefined
}

/**
 * The specs that names select: of a VM, or of all replicas of a service.
 * Throws `vmctl::vm::not_found` with the names of the file for one that matches nothing.
 */
export const selectVms = (vmfile: Vmfile, names: readonly string[] | undefined): readonly VmSpec[] => {
  if (!names || names.length === 0) return vmfile.vms
  const chosen = new Set(names.flatMap((name) => selectByName(vmfile, name)))
  return vmfile.vms.filter((spec) => chosen.has(spec))
}

export const selectByName = (vmfile: Vmfile, name: string): readonly VmSpec[] => {
  const specs = matching(vmfile.vms, name)
  if (specs.length > 0) return specs
  const known = knownNames(vmfile.vms)
  throw new VmctlError(
    'vmctl::vm::not_found',
    `${vmfile.path} defines no VM named ${JSON.stringify(name)}; it defines ${known.join(', ')}.`,
    {
      help: suggest(name, [...known, ...vmfile.vms.map((vm) => vm.name)]) ?? `Use one of: ${known.join(', ')}.`,
    },
  )
}

/** The VMs that a verb works on. Only `up` touches what was not named, since a VM cannot do without what it depends on. */
export const choose = (options: Selection): readonly VmSpec[] => {
  const {vmfile, names, verb, noDependencies = false} = options
  const named = selectVms(vmfile, names).filter((spec) => !options.autostart || spec.autostart !== false)
  return verb === 'up' && !noDependencies ? withDependencies(vmfile.vms, named) : named
}
