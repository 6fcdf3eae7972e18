import {instanceName, type NameParts} from '../../model/names.ts'
import type {VmSpec} from '../../model/vm.ts'

/** What the names of a VM are made from. */
type Named = Pick<VmSpec, 'name' | 'project' | 'service' | 'replica'>

/** What a VM is called without its project: that of its service, and its own when it is one of several. */
export const partsOf = ({name, project, service, replica}: Named): NameParts => ({project, service: service ?? name, replica})

/**
 * The VMs that a name means: the one of that very name, else the one that has it without the project (`web-1`), else all
 * replicas of a service (`web`), else the VM without replicas whose replica 0 would be called so.
 */
export const matching = <V extends Named>(vms: readonly V[], asked: string): readonly V[] => {
  const rules: readonly ((parts: NameParts, vm: V) => boolean)[] = [
    (_parts, {name}) => name === asked,
    ({service, replica}) => instanceName({service, replica}) === asked,
    ({service}) => service === asked,
    ({project, service, replica}) => replica !== undefined && instanceName({project, service}) === asked,
    ({service, replica}) => replica === undefined && instanceName({service, replica: 0}) === asked,
  ]
  for (const rule of rules) {
    const found = vms.filter((vm) => rule(partsOf(vm), vm))
    if (found.length > 0) return found
  }
  return []
}

/** What a person calls some VMs: their services, without the project. */
export const knownNames = (vms: readonly Named[]): readonly string[] => [...new Set(vms.map((vm) => partsOf(vm).service))]
