import {quoteAll} from '../../model/quote.ts'

/** A folder or file of the host as the guest sees it. */
export interface GuestShare {
  readonly kind: 'share'
  readonly tag: string
  /** Absolute path. */
  readonly target: string
  /** The name of the one file in the directory that is shared; absent when the directory itself is meant. */
  readonly file?: string
  readonly readOnly: boolean
  /** Mount options besides ours. */
  readonly options: readonly string[]
}

/**
 * How 9p is mounted. `cache=mmap` caches nothing but what a program has mapped for writing, so both sides see each other's writes at
 * once; under `none` such programs would fail (Linux, Documentation/filesystems/9p.rst). With the default msize it reads at a third
 * of the speed.
 */
const nineOptions = ['trans=virtio', 'version=9p2000.L', 'msize=512000', 'cache=mmap']

const keyOf = (option: string): string => option.split('=', 1)[0] ?? option

/** The user's options above ours; whether the share may be written is not for options to say. */
const merged = (ours: readonly string[], {readOnly, options}: GuestShare): string => {
  const theirs = options.filter((option) => option !== 'ro' && option !== 'rw')
  const named = new Set(theirs.map(keyOf))
  return [...ours.filter((option) => !named.has(keyOf(option))), readOnly ? 'ro' : 'rw', ...theirs].join(',')
}

export const shareCall = (share: GuestShare): string =>
  quoteAll(['share', share.tag, share.target, share.file ?? '', merged(nineOptions, share), merged([], share)])
