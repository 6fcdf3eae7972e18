import {type FailureCode, VmctlError, type VmctlErrorOptions, type FailureFacts} from '../../model/errors.ts'
import {stripControls} from '../../model/strip.ts'
import {type Candidate, describeCandidate, publicHalf} from './candidates.ts'
import {fingerprint, kindOfKey} from '../keys/keys.ts'
import {keyTypeOf} from '../../model/public-key.ts'
import type {Advice} from '../../model/exit-codes.ts'

export type Stage = 'key-exchange' | 'authentication'

export interface FailedHandshake {
  /** What ssh2 reported; absent when the connection was just closed. */
  readonly error: (Error & {readonly level?: string}) | undefined
  readonly stage: Stage
  readonly hostKey: Buffer | undefined
  /** Why the host key was refused. */
  readonly refusal: string | undefined
  readonly user: string
  readonly tried: readonly Candidate[]
  /** The type of host key that was asked for first. */
  readonly hostKeyType: string | undefined
  readonly notes: readonly string[]
  /** Keys that were passed over because they need a passphrase. */
  readonly encrypted: readonly string[]
  /** What the server had to say before it let anybody in. */
  readonly banners: readonly string[]
  readonly exhausted: boolean
}

type Fail = (code: FailureCode, message: string, more?: Omit<VmctlErrorOptions, 'cause'>) => VmctlError

/** The error for a connection that did not come about, by the stage that it had reached. */
export const explainFailure = (failed: FailedHandshake): VmctlError => {
  const {error, hostKey, refusal, stage} = failed
  const fail: Fail = (code, message, {details, ...more} = {}) =>
    new VmctlError(code, message, {...more, cause: error, details: {stage, ...details}})
  if (refusal !== undefined && hostKey) return refusedHostKey(fail, {hostKey, refusal, hostKeyType: failed.hostKeyType})
  if (error?.level === 'client-timeout') return fail('vmctl::ssh::unreachable', `SSH answered, but the ${words[stage]} took too long.`)
  if (stage === 'key-exchange') {
    // "No matching … algorithm" will not change by trying again.
    const isFinal = /no matching/i.test(error?.message ?? '')
    return fail('vmctl::ssh::failed', `The SSH key exchange failed: ${error?.message ?? 'the guest closed the connection'}.`, {
      retry: isFinal ? 'never' : undefined,
    })
  }
  return refusedUser(fail, failed)
}

const refusedHostKey = (
  fail: Fail,
  {hostKey, refusal, hostKeyType}: {readonly hostKey: Buffer} & Pick<FailedHandshake, 'refusal' | 'hostKeyType'>,
): VmctlError => {
  const shown = keyTypeOf(hostKey) ?? ''
  // A server that had one of the type that was asked for first would have shown it.
  const lacksType = hostKeyType !== undefined && shown !== hostKeyType
  const why = lacksType
    ? ` The guest has no ${kindOfKey(hostKeyType)} host key, although its seed brought one, but one of kind ${kindOfKey(shown)}: it may be in FIPS mode and take no ${kindOfKey(hostKeyType)} keys.`
    : ''
  return fail('vmctl::ssh::host_key_mismatch', `The host key ${fingerprint(hostKey)} was refused: ${refusal}.${why}`, {
    help: lacksType ? otherKeys : undefined,
    lacksType,
    details: {fingerprint: fingerprint(hostKey)},
  })
}

const refusedUser = (fail: Fail, failed: FailedHandshake): VmctlError => {
  const lacksType = takesNoEd25519(failed)
  const isExpired = failed.banners.some((text) => /\b(?:account|password)\b.{0,20}\bexpired\b/i.test(text))
  return fail('vmctl::ssh::authentication_failed', refusedLogin(failed), {
    help: adviceFor(failed, {lacksType, isExpired}),
    encrypted: failed.encrypted,
    lacksType,
    retry: isExpired ? 'never' : mayChange(failed),
    details: {user: failed.user, tried: failed.tried.map(describeCandidate)},
  })
}

/** A guest that hangs up without looking at all keys may change its mind: pam_nologin does so while it boots. */
const mayChange = ({exhausted}: FailedHandshake): FailureFacts['retry'] => (exhausted ? undefined : 'later')

const adviceFor = (
  {exhausted, error}: FailedHandshake,
  {lacksType, isExpired}: {readonly lacksType: boolean; readonly isExpired: boolean},
): Advice | undefined => {
  if (isExpired) return 'The account is at fault, not the key: renew it in the guest (`chage`), or log in as another user.'
  if (lacksType) return otherKeys
  return !exhausted && isTooMany(error) ? fewerKeys : undefined
}

const words: Readonly<Record<Stage, string>> = {'key-exchange': 'key exchange', authentication: 'login'}

/** What an answer to too many keys says (MaxAuthTries of sshd_config(5)). */
export const isTooMany = (error: Error | undefined): boolean => /too many authentication failures/i.test(error?.message ?? '')

const fewerKeys: Advice = (vm) =>
  `Name the right key: \`vmctl ssh ${vm} --key PATH\`, or \`ssh { private-key "PATH" }\` in the VMFile; it is offered first. For the \`ssh\` program: \`IdentityFile\` with \`IdentitiesOnly yes\`.`

const otherKeys =
  'Write `ssh { key-type "ecdsa" }` in the VMFile and make the VM anew: vmctl makes keys of that kind then. A key of your own of another kind works too: `ssh-keygen -t ecdsa`, `ssh { private-key … }`.'

/** All keys were of the one kind, and the guest, which would have shown a host key of that kind first, has none. */
const takesNoEd25519 = ({tried, hostKey, exhausted}: FailedHandshake): boolean =>
  exhausted &&
  hostKey !== undefined &&
  keyTypeOf(hostKey) !== 'ssh-ed25519' &&
  tried.length > 0 &&
  tried.every((candidate) => publicHalf(candidate)?.startsWith('ssh-ed25519 '))

const refusedLogin = (failed: FailedHandshake): string => {
  const {user, tried, notes, banners, exhausted, error} = failed
  const said = stripControls(banners.join(' ')).trim()
  return [
    `The guest did not let the user ${JSON.stringify(user)} in`,
    exhausted ? '' : ` (${error?.message ?? 'it closed the connection'})`,
    '. ',
    tried.length === 0 ? 'There was no private key to try.' : `Tried: ${tried.map(describeCandidate).join(', ')}.`,
    takesNoEd25519(failed) ? ' The guest has no Ed25519 host key either: it may be in FIPS mode and take no Ed25519 keys.' : '',
    ...notes.map((note) => ` ${note}.`),
    said === '' ? '' : ` The guest says: ${said}`,
  ].join('')
}
