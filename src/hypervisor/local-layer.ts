import {beginLayer, finishLayer} from '../host/disk-layers.ts'
import type {OverlayOptions} from '../host/qemu-img.ts'
import type {BaseImage, Vm} from '../model/vm.ts'

/** What the disk of a VM is made on. */
export const bottomOf = ({base, layer}: Pick<Vm, 'base' | 'layer'>): BaseImage =>
  layer ? {path: layer.path, format: 'qcow2', virtualSizeBytes: layer.virtualSizeBytes} : base

/** Of a VM that nothing runs of. */
export const freezeDisk = async (disk: string, path: string, options: OverlayOptions): Promise<void> => {
  await finishLayer(disk)
  await beginLayer(disk, path, options)
  await finishLayer(disk)
}
