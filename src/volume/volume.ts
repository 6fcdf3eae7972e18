import {createHash} from 'node:crypto'
import {join} from 'node:path'

import type {VolumeSpec} from '../model/storage.ts'

/** Where volumes are kept, and the locks under which they come and go. */
export interface VolumeStore {
  readonly directory: string
  readonly lockDirectory: string
}

/** A volume that exists. */
export interface Volume {
  /** `<scope>.<name>`, as in `VolumeSpec`. */
  readonly id: string
  /** The project, or what stands for the VMFile. */
  readonly scope: string
  /** With the number of the replica, when there is one for each. */
  readonly name: string
  /** Absolute path of its qcow2 file. */
  readonly path: string
  readonly filesystem: VolumeSpec['filesystem']
  readonly label: string
  /** How the guest finds it: /dev/disk/by-id/virtio-SERIAL. */
  readonly serial: string
  readonly sizeBytes: number
  /** Bytes that it takes on the host, holes not counted. */
  readonly allocatedBytes: number
  /** RFC 3339. */
  readonly createdAt: string
}

const digest = (id: string): string => createHash('sha256').update(id).digest('hex')

/** The serial of a volume's disk: 20 bytes, all that virtio-blk has room for (VIRTIO 1.2, 5.2.6.3). */
export const volumeSerial = (id: string): string => `vol-${digest(id).slice(0, 16)}`

/** The label of a volume's file system: 12 bytes at most when it is made here, all that XFS has room for (xfs_admin(8)). */
export const volumeLabel = ({id, label}: Pick<VolumeSpec, 'id' | 'label'>): string => label ?? `vol-${digest(id).slice(0, 8)}`

/** A scope is the name of a project (a DNS label) or a hash, so the first dot ends it. */
export const splitId = (id: string): {readonly scope: string; readonly name: string} => {
  const dot = id.indexOf('.')
  return {scope: id.slice(0, dot), name: id.slice(dot + 1)}
}

const isPart = (part: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(part) && !part.includes('..') && part.length <= 200

/** Whether an id leads to a place in the volumes' directory and nowhere else. */
export const isVolumeId = (id: string): boolean => {
  const {scope, name} = splitId(id)
  return isPart(scope) && !scope.includes('.') && isPart(name)
}

export interface VolumeFiles {
  /** That of the scope. */
  readonly directory: string
  readonly disk: string
  readonly record: string
}

export const volumeFiles = (store: VolumeStore, id: string): VolumeFiles => {
  const {scope, name} = splitId(id)
  const directory = join(store.directory, scope)
  return {
    directory,
    disk: join(directory, `${name}.qcow2`),
    record: join(directory, `${name}.json`),
  }
}
