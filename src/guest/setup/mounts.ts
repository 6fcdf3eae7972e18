import {setupMounts, setupShares, setupVolumes} from '../programs/index.ts'
import {type GuestShare, shareCall} from './shares.ts'
import {type GuestVolume, volumeCall} from './volumes.ts'

/** Something of the host's in the guest's tree. */
export type GuestMount = GuestVolume | GuestShare

/** Volumes and shares: mounted in the order in which they are given, checked, and in /etc/fstab for a reboot of the guest's own. */
export const mountsSection = (mounts: readonly GuestMount[]): string => {
  if (mounts.length === 0) return "managed /etc/fstab ''"
  const kinds = new Set(mounts.map(({kind}) => kind))
  return [
    setupMounts.text,
    ...(kinds.has('volume') ? [setupVolumes.text] : []),
    ...(kinds.has('share') ? [setupShares.text] : []),
    ...mounts.map((mount) => (mount.kind === 'volume' ? volumeCall(mount) : shareCall(mount))),
    'managed /etc/fstab "$table"',
  ].join('\n')
}
