import {isVmctlError, messageOf} from '../../model/errors.ts'
import type {Vm, VmSpec} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'
import {readVmfile} from '../load.ts'

/**
 * What the VMFile of a VM says of it now. A VMFile that cannot be read keeps no VM from starting: that is a notice, and the VM
 * starts as it was; so does one that is no longer defined.
 */
export const wantedSpec = async (engine: Engine, {name, vmfile: path, spec}: Vm): Promise<VmSpec> => {
  if (path === undefined) return spec
  try {
    // A VM stays in its home, also where that was chosen on the command line.
    const {vms} = await readVmfile({...engine, home: engine.home ?? spec.home?.name}, path)
    return vms.find((one) => one.name === name) ?? spec
  } catch (error) {
    engine.signal.throwIfAborted()
    await engine.emit({type: 'vm.notice', vm: name, message: `starts as it was, because its VMFile cannot be read: ${explain(error)}`})
    return spec
  }
}

const explain = (error: unknown): string => {
  const [first] = isVmctlError(error) ? error.problems.filter(({severity}) => severity === 'error') : []
  return first ? `${first.file}:${first.line}:${first.column}: ${first.message}` : messageOf(error)
}
