import {type FailureCode, VmctlError} from '../model/errors.ts'
import {stripControls} from '../model/strip.ts'
import {fingerprint} from './keys.ts'

export type Stage = 'key-exchange' | 'authentication'

export interface FailedHandshake {
  /** What ssh2 reported; absent when the connection was just closed. */
  readonly error: (Error & {readonly level?: string}) | undefined
  readonly stage: Stage
  readonly hostKey: Buffer | undefined
  /** Why the host key was refused. */
  readonly refusal: string | undefined
  readonly user: string
  readonly tried: readonly string[]
  readonly notes: readonly string[]
  /** Keys that were passed over because they need a passphrase. */
  readonly encrypted: readonly string[]
  /** What the server had to say before it let anybody in. */
  readonly banners: readonly string[]
  readonly exhausted: boolean
}

/** The error for a connection that did not come about, by the stage that it had reached. */
export const explainFailure = (failed: FailedHandshake): VmctlError => {
  const {error, hostKey, refusal, stage} = failed
  const fail = (code: FailureCode, message: string, details: Readonly<Record<string, unknown>> = {}): VmctlError =>
    new VmctlError(code, message, {cause: error, details: {stage, ...details}})

  if (refusal !== undefined && hostKey) {
    return fail('vmctl::ssh::host_key_mismatch', `The host key ${fingerprint(hostKey)} was refused: ${refusal}.`, {
      fingerprint: fingerprint(hostKey),
    })
  }
  if (error?.level === 'client-timeout') return fail('vmctl::ssh::unreachable', `SSH answered, but the ${words[stage]} took too long.`)
  if (stage === 'key-exchange') {
    // "No matching … algorithm" will not change by trying again.
    const permanent = /no matching/i.test(error?.message ?? '')
    return fail('vmctl::ssh::failed', `The SSH key exchange failed: ${error?.message ?? 'the guest closed the connection'}.`, {permanent})
  }
  return fail('vmctl::ssh::authentication_failed', refusedLogin(failed), {
    user: failed.user,
    tried: failed.tried,
    encrypted: failed.encrypted,
    // A guest that hangs up without looking at all keys may change its mind: pam_nologin does so while it boots.
    temporary: !failed.exhausted,
  })
}

const words: Readonly<Record<Stage, string>> = {'key-exchange': 'key exchange', authentication: 'log-in'}

const refusedLogin = ({user, tried, notes, banners, exhausted, error}: FailedHandshake): string => {
  const said = stripControls(banners.join(' ')).trim()
  return [
    `The guest did not let the user ${JSON.stringify(user)} in`,
    exhausted ? '' : ` (${error?.message ?? 'it closed the connection'})`,
    '. ',
    tried.length === 0 ? 'There was no private key to try.' : `Tried: ${tried.join(', ')}.`,
    ...notes.map((note) => ` ${note}.`),
    said === '' ? '' : ` The guest says: ${said}`,
  ].join('')
}
