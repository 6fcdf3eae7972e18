import {beginLayer, copyLayer, finishLayer, forkLayer, layerPath, requireLayer, revertToLayer, trimLayers} from '../host/disk-layers.ts'
import {pathExists} from '../host/files.ts'
import {VmctlError} from '../model/errors.ts'
import type {Vm} from '../model/vm.ts'
import type {CheckpointOptions, ForkOptions, OperationOptions} from './hypervisor.ts'
import {overlayIn, writableDisks} from './local-disk.ts'

/** Of a VM that nothing runs of, with disks on this host. */
export const freezeDisks = async (vm: Vm, {id, signal}: Pick<CheckpointOptions, 'id' | 'signal'>): Promise<void> => {
  const disks = await writableDisks(vm)
  for (const disk of disks) await finishLayer(disk)
  for (const disk of disks) await beginLayer(disk, layerPath(disk, id), {signal})
  for (const disk of disks) await finishLayer(disk)
}

/**
 * Checks that the disks that a VM had can be put back.
 * @throws VmctlError `vmctl::snapshot::damaged`
 */
export const requireDisks = async (vm: Vm, {id, signal}: Pick<CheckpointOptions, 'id' | 'signal'>): Promise<void> => {
  const volumes = (vm.attachments?.disks ?? []).flatMap(({path, readOnly}) => (readOnly ? [] : [path]))
  for (const disk of new Set([...(await writableDisks(vm)), ...volumes])) await requireLayer(disk, id, {signal})
  if (!(await pathExists(vm.base.path))) {
    throw new VmctlError('vmctl::snapshot::damaged', `The base image of ${vm.name} is gone: ${vm.base.path}.`, {
      help: 'Nothing was changed. Put the image back where it was; the disk cannot be read without it.',
    })
  }
}

export const revertDisks = async (vm: Vm, {id, signal}: Pick<CheckpointOptions, 'id' | 'signal'>): Promise<void> => {
  for (const disk of await writableDisks(vm)) await revertToLayer(disk, id, {signal})
}

/** Gives a VM whose directory is empty the disks that another one had at a checkpoint. */
export const forkDisks = async (vm: Vm, fork: Vm, {id, shared, volumes, signal}: ForkOptions): Promise<void> => {
  const own = {from: overlayIn(vm.directory), to: overlayIn(fork.directory), base: vm.base}
  for (const {from, to, base} of [own, ...volumes.map((volume) => ({...volume, base: undefined}))]) {
    if (!(await pathExists(from))) continue
    await (shared ? forkLayer({disk: from, id}, to, {signal}) : copyLayer({disk: from, id}, to, {base, signal}))
  }
}

export const trimDisks = async (
  vm: Vm,
  {keep, isAtRest, signal}: Pick<OperationOptions, 'signal'> & {readonly keep: readonly string[]; readonly isAtRest: boolean},
): Promise<readonly string[]> => {
  const waiting = new Set<string>()
  for (const disk of await writableDisks(vm)) for (const id of await trimLayers(disk, {keep, isAtRest, signal})) waiting.add(id)
  return [...waiting]
}
