import {type VmctlError, isFailure} from '../../model/errors.ts'

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
} as const

/** So long cloud-init may take to make a user without a word about it, in milliseconds. */
const silenceMs = 20_000

/**
 * Judges the refusals of a guest that is waited for, and ends a wait that is in vain. A guest in its first boot may refuse for a while
 * what it lets in later; one that vmctl has given no user is unlikely to, which is told at once; of the others it is told after a while.
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
  const tellOnce = (message: string): void => {
    if (!isTold) tell(message)
    isTold = true
  }
  const limitMs = ({facts}: VmctlError, isLogin: boolean): number => {
    if (facts.lacksType) return patienceMs.otherKind
    return isLogin && !isSeeded ? Math.max(patienceMs.unseeded, askedMs) : Infinity
  }
  return (error) => {
    const {code, facts, message} = error
    const isLogin = isFailure(error, 'vmctl::ssh::authentication_failed')
    if (isLogin ? facts.retry === 'later' : !isFailure(error, 'vmctl::ssh::host_key_mismatch')) return
    const first = since.get(code)
    since.set(code, first ?? now())
    const waitedMs = now() - (first ?? now())
    if (isLogin && !isSeeded) tellOnce(`so far: ${message} vmctl gave it no user and no key, as it has no cloud-init block.`)
    if (isLogin && isSeeded && waitedMs >= silenceMs)
      tellOnce(`so far: ${message} Waiting for cloud-init, which may still set up the login.`)
    if (first !== undefined && waitedMs >= limitMs(error, isLogin)) giveUp(error)
  }
}
