import type {GuestMount} from '../../guest/setup/mounts.ts'
import type {VmSpec} from '../../model/vm.ts'
import {sharedFileName, shareTag} from '../../share/shares.ts'
import {volumeLabel, volumeSerial} from '../../volume/volume.ts'

/** What the guest of a VM mounts, volumes before shares. */
export const mountsOf = ({volumes = [], shares = []}: VmSpec): GuestMount[] => [
  ...volumes
    .map(({volume, target, readOnly, options}) => ({
      kind: 'volume' as const,
      serial: volumeSerial(volume.id),
      name: volume.name,
      filesystem: volume.filesystem,
      label: volumeLabel(volume),
      ...(target !== undefined && {target}),
      readOnly,
      options,
    }))
    .toSorted(byTarget),
  ...shares
    .filter(({automount}) => automount)
    .map((share) => ({
      kind: 'share' as const,
      tag: shareTag(share),
      target: share.target,
      ...(share.isFile && {file: sharedFileName}),
      readOnly: share.readOnly,
      options: share.options,
    }))
    .toSorted(byTarget),
]

/** A directory before what is mounted inside of it. */
const byTarget = ({target: left = ''}: {readonly target?: string}, {target: right = ''}: {readonly target?: string}): number =>
  left < right ? -1 : Number(left > right)
