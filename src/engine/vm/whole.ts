import {VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'

/** @throws VmctlError `vmctl::snapshot::unfinished` for a VM that was being put back to a snapshot when the command ended */
export const requireWhole = ({name, restoring}: Vm): void => {
  if (restoring === undefined) return
  throw new VmctlError(
    'vmctl::snapshot::unfinished',
    `${name} was being put back to the snapshot ${restoring}, and the command has not come to its end.`,
    {help: `Finish it with \`vmctl snapshot restore ${restoring} ${name}\`, or put it back to another snapshot.`},
  )
}
