import type {SshConfig} from '../../model/vm.ts'

interface Trust {
  readonly check: SshConfig['hostKeyCheck']
  /** The host key that is known, as a line of OpenSSH. */
  readonly pinned: string | undefined
  /** Whether the guest was reached before. */
  readonly ready: boolean
  /** Whether user-data of the user's own may overrule the vendor-data that carries our host key. */
  readonly hasUserData: boolean
}

/** Which host keys of a guest are trusted: the one that is known, and whether one that it shows instead is to be kept. */
export const trustOf = ({
  check = 'pin',
  pinned,
  ready,
  hasUserData,
}: Trust): {readonly pinned?: string; readonly onFirstUse: 'keep' | 'accept' | 'refuse'} => {
  if (check === 'off') return {onFirstUse: 'accept'}
  // A guest without a seed never got our host key.
  if (pinned === undefined) return {onFirstUse: 'keep'}
  return {pinned, onFirstUse: !ready && (hasUserData || check === 'accept-new') ? 'keep' : 'refuse'}
}
