import {readdir, readlink, stat} from 'node:fs/promises'
import {join} from 'node:path'

import {listProcesses} from '../host/proc.ts'
import type {VmDisk} from './hypervisor.ts'

/** The disk of a backend that has it in the directory of the VM: what the VM has written, on top of its image. */
export const overlayIn = (directory: string): string => join(directory, 'overlay.qcow2')

export const localDisk = async (directory: string): Promise<VmDisk> => {
  const path = overlayIn(directory)
  const bytes = await stat(path).then(
    ({blocks}) => blocks * 512,
    () => 0,
  )
  return {path, bytes}
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
