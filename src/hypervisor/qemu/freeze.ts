import {beginLayer, finishLayer, idOfNext, layersOf, nextPath} from '../../host/disk-layers.ts'
import {remove} from '../../host/durable.ts'
import {VmctlError} from '../../model/errors.ts'
import type {Vm} from '../../model/vm.ts'
import type {LayerTarget} from '../hypervisor.ts'
import {freezeDisk} from '../local-layer.ts'
import {addNext, forgetNext, recoverTops, runningDisks, switchToNext} from './block-nodes.ts'
import {followBase} from './disk.ts'
import {findAnyProcess} from './process.ts'
import {withMonitor} from './qmp.ts'

/** Makes a layer of the disk of a VM, which goes on on top of it. Volumes have no part in it. */
export const freeze = async (
  vm: Vm,
  {id, path}: LayerTarget,
  {signal, program}: {readonly signal: AbortSignal; readonly program: string},
): Promise<void> => {
  const [disk] = runningDisks({...vm, attachments: {nics: [], folders: [], disks: []}})
  if (!disk) return
  if ((await layersOf(disk.path)).length > 0) {
    throw new VmctlError('vmctl::snapshot::unsupported', `The disk of ${vm.name} has snapshots, which stay with the VM.`)
  }
  if (!(await findAnyProcess(vm))) {
    await followBase(vm, signal)
    await freezeDisk(disk.path, path, {signal, program})
    return
  }
  await withMonitor(vm, async (qmp) => {
    await recoverTops(qmp, runningDisks(vm))
    await beginLayer(disk.path, path, {signal, program})
    try {
      await addNext(qmp, disk, id)
      await switchToNext(qmp, [disk], id)
    } catch (error) {
      await forgetNext(qmp, disk, id)
      if ((await idOfNext(disk.path)) === id) await remove(nextPath(disk.path))
      throw error
    }
    await finishLayer(disk.path)
  })
}
