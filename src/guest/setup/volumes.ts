import {quoteAll} from '../../model/quote.ts'

/** A volume as the guest sees it. */
export interface GuestVolume {
  readonly kind: 'volume'
  /** Serial of its disk, which the kernel shows in /sys/block/NAME/serial. */
  readonly serial: string
  readonly name: string
  readonly filesystem: 'ext4' | 'xfs' | 'none'
  readonly label: string
  /** Absolute path; absent for a volume without a file system. */
  readonly target?: string
  readonly readOnly: boolean
  /** Mount options besides ours. */
  readonly options: readonly string[]
}

export const volumeCall = ({serial, name, filesystem, label, target = '', readOnly, options}: GuestVolume): string =>
  quoteAll(['volume', serial, name, filesystem, label, target, readOnly ? 'ro' : 'rw', options.join(',')])
