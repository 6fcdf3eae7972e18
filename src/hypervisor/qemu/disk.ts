import {chmod, copyFile} from 'node:fs/promises'

import {finishLayer, repointBase} from '../../host/disk-layers.ts'
import {remove, rename} from '../../host/durable.ts'
import {pathExists, temporaryPath} from '../../host/files.ts'
import {convertImage} from '../../host/qemu-img.ts'
import type {Vm} from '../../model/vm.ts'
import type {DiskTarget} from '../hypervisor.ts'
import {qemuFiles} from './files.ts'
import {readRuntime, writeRuntime} from './runtime.ts'

/** Brings the files of a disk at rest in order. The lowest names its base image by the path that it had when it was made. A local one moves with its project. */
export const followBase = async ({base, directory}: Vm, signal: AbortSignal): Promise<void> => {
  const {overlay} = qemuFiles(directory)
  // What the guest has written last may be in the next top.
  await finishLayer(overlay)
  if (base.sha256 === undefined && (await pathExists(base.path))) await repointBase(base, overlay, {signal})
}

export const copyPrivately = async (source: string, target: string): Promise<void> => {
  const temporary = temporaryPath(target)
  try {
    await copyFile(source, temporary)
    await chmod(temporary, 0o600)
    await rename(temporary, target)
  } finally {
    await remove(temporary)
  }
}

/**
 * Copies a VM at rest. The copy gets the whole disk as a raw file of its own, the variables of the firmware and the MAC address, by
 * which guests know their interface; no port, which it chooses itself.
 */
export const cloneVm = async (vm: Vm, copy: Vm, signal: AbortSignal): Promise<Vm> => {
  const [from, to] = [qemuFiles(vm.directory), qemuFiles(copy.directory)]
  await followBase(vm, signal)
  await convertImage({path: from.overlay, format: 'qcow2'}, {path: to.wholeDisk, format: 'raw'}, {signal})
  for (const file of ['efivars', 'seed'] as const) if (await pathExists(from[file])) await copyPrivately(from[file], to[file])
  const runtime = await readRuntime(vm.directory)
  if (runtime) await writeRuntime(copy.directory, {schema: 1, name: copy.name, macAddress: runtime.macAddress})
  const {args: _args, display: _display, ...qemu} = copy.spec.qemu ?? {}
  return {...copy, spec: {...copy.spec, qemu}}
}

export const exportDisk = async (vm: Vm, {compressed, ...target}: DiskTarget, signal: AbortSignal): Promise<void> => {
  const {wholeDisk, overlay} = qemuFiles(vm.directory)
  if (await pathExists(wholeDisk)) return convertImage({path: wholeDisk, format: 'raw'}, target, {compressed, signal})
  await followBase(vm, signal)
  return convertImage({path: overlay, format: 'qcow2'}, target, {compressed, signal})
}
