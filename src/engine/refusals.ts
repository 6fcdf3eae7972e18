import type {VmctlError} from '../model/errors.ts'

interface RefusalOptions {
  /** Whether the guest learns of the user and the key by a seed, which takes a while at the first boot. */
  readonly isSeeded: boolean
  /** Milliseconds that the user has set for a guest that lets nobody in. */
  readonly askedMs?: number | undefined
  readonly tell: (message: string) => void
  /** Ends the wait. */
  readonly giveUp: (error: VmctlError) => void
  /** Milliseconds, from any start. */
  readonly now?: () => number
}

/** Milliseconds from the first refusal of all keys, or of the host key. */
const patienceMs = {
  /** A guest that has no host key of the kind that its seed brought will not get one. */
  otherKind: 10_000,
  /** Nobody makes a user in a guest without a seed of vmctl, but its image may, in its first boot. */
  unseeded: 30_000,
  /** Until it is told that a guest with a seed does not know the user yet. */
  told: 20_000,
} as const

/**
 * Judges the refusals of a guest that is waited for: says early that it lets nobody in so far, and ends a wait that is in vain.
 * A guest in its first boot may refuse for a while what it lets in later.
 */
export const watchRefusals = ({
  isSeeded,
  askedMs = 0,
  tell,
  giveUp,
  now = () => performance.now(),
}: RefusalOptions): ((error: VmctlError) => void) => {
  const since = new Map<string, number>()
  let isTold = false
  const limitMs = ({details}: VmctlError, isLogin: boolean): number => {
    if (details.lacksType === true) return patienceMs.otherKind
    return isLogin && !isSeeded ? Math.max(patienceMs.unseeded, askedMs) : Infinity
  }
  const source = isSeeded ? 'cloud-init may still make the user and the key.' : 'vmctl gave it none, as it has no cloud-init block.'
  return (error) => {
    const {code, details, message} = error
    const isLogin = code === 'vmctl::ssh::authentication_failed'
    if (isLogin ? details.temporary === true : code !== 'vmctl::ssh::host_key_mismatch') return
    const first = since.get(code) ?? now()
    since.set(code, first)
    const elapsedMs = now() - first
    if (elapsedMs >= limitMs(error, isLogin)) giveUp(error)
    if (isTold || !isLogin || (isSeeded && elapsedMs < patienceMs.told)) return
    isTold = true
    tell(`so far: ${message} ${source}`)
  }
}
