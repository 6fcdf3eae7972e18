import {readdir, readlink} from 'node:fs/promises'
import {join} from 'node:path'

import {diskBytes} from '../host/disk-layers.ts'
import {pathExists} from '../host/files.ts'
import {listProcesses} from '../host/proc.ts'
import type {Vm} from '../model/vm.ts'
import type {VmDisk} from './hypervisor.ts'
import {seedIn} from './local-seed.ts'

/** The disk of a backend that has it in the directory of the VM: what the VM has written, on top of its image. */
export const overlayIn = (directory: string): string => join(directory, 'overlay.qcow2')

export const localDisk = async (directory: string): Promise<VmDisk> => {
  const path = overlayIn(directory)
  const seed = seedIn(directory)
  return {path, bytes: await diskBytes(path), ...((await pathExists(seed)) && {seed})}
}

/** The disks of a VM that a checkpoint is of, those that exist: its own, and the volumes that it may write to. */
export const writableDisks = async ({directory, attachments}: Pick<Vm, 'directory' | 'attachments'>): Promise<string[]> => {
  const disks = [overlayIn(directory), ...(attachments?.disks ?? []).flatMap(({path, readOnly}) => (readOnly ? [] : [path]))]
  const exist = await Promise.all(disks.map(pathExists))
  return disks.filter((_, index) => exist[index])
}

/** Whether any process that we may look at has the disk open. */
export const isLocalDiskOpen = async (directory: string): Promise<boolean> => {
  const overlay = overlayIn(directory)
  for (const pid of await listProcesses()) {
    const descriptors = `/proc/${pid}/fd`
    for (const descriptor of await readdir(descriptors).catch(() => [])) {
      const target = await readlink(join(descriptors, descriptor)).catch(() => '')
      if (target === overlay) return true
    }
  }
  return false
}
