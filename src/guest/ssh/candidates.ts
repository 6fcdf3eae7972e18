import {join} from 'node:path'

import type {ParsedKey} from 'ssh2'

import {isVmctlError, VmctlError, type FailureFacts} from '../../model/errors.ts'
import {fingerprint, publicKeyLine} from '../keys/keys.ts'
import {type PrivateKey, readPrivateKey} from '../keys/private-key.ts'

/** One way to prove who we are, in the order in which they are tried. */
export type Candidate =
  | ({readonly kind: 'key'} & PrivateKey)
  | {
      readonly kind: 'agent'
      readonly socket: string
      /** Offer only this key of the agent (an OpenSSH line); all of them when absent. */
      readonly only?: string
      /** The encrypted file for which the agent stands in. */
      readonly path?: string
    }

/**
 * What a guest has refused, for the next connection to it: a server looks at a few keys and hangs up (MaxAuthTries of
 * sshd_config(5)).
 */
export type Refused = Set<Candidate>

export interface CandidateSources {
  /** `--key`: absolute path. */
  readonly explicit?: string | undefined
  /** `ssh { private-key }` of the VMFile: absolute path. */
  readonly vmfile?: string | undefined
  /** The key that vmctl made for the VM: absolute path; may be missing. */
  readonly generated?: string | undefined
  /** The user's home, for the keys in ~/.ssh. */
  readonly home?: string | undefined
  /** `$SSH_AUTH_SOCK`. */
  readonly agentSocket?: string | undefined
  /** True when a person can be asked for a passphrase (the system's ssh does that): encrypted keys stay in the list as keys. */
  readonly canPrompt?: boolean
}

/**
 * The keys to try, in the settled order: `--key`, the VMFile's, the VM's own, the user's standard keys, the agent.
 * A key that somebody named must be usable; a standard key that is missing or unusable is passed over.
 * @throws VmctlError `vmctl::ssh::key_unusable`
 */
export const sshCandidates = async (sources: CandidateSources): Promise<readonly Candidate[]> => {
  const found: Candidate[] = []
  for (const path of [sources.explicit, sources.vmfile]) {
    if (path !== undefined) found.push(candidateOf(await readPrivateKey(path), sources))
  }
  if (sources.generated !== undefined) {
    const key = await readUnless(sources.generated, (reason) => reason === 'missing')
    if (key) found.push(candidateOf(key, sources))
  }
  if (sources.home !== undefined) {
    for (const name of ['id_ed25519', 'id_ecdsa', 'id_rsa']) {
      const key = await readUnless(join(sources.home, '.ssh', name), () => true)
      // Without a prompt an encrypted standard key is the agent's business, which comes last anyway.
      if (key && (!key.encrypted || sources.canPrompt)) found.push({kind: 'key', ...key})
    }
  }
  if (sources.agentSocket) found.push(...(await agentCandidates(sources.agentSocket, found)))
  return found.filter((one, index) => found.findIndex((other) => identity(other) === identity(one)) === index)
}

/** Each key of the agent by itself, but those whose files are offered already. One that does not answer says why when it is asked to log in. */
const agentCandidates = async (socket: string, found: readonly Candidate[]): Promise<readonly Candidate[]> => {
  const {default: ssh2} = await import('ssh2')
  const keys = await new Promise<readonly ParsedKey[] | undefined>((resolve) => {
    ssh2.createAgent(socket).getIdentities((error, identities) => resolve(error ? undefined : (identities as ParsedKey[] | undefined)))
  })
  if (!keys) return [{kind: 'agent', socket}]
  const usable = new Set(found.flatMap((one) => (one.kind === 'key' && !one.encrypted ? [identity(one)] : [])))
  return keys
    .map((key) => ({kind: 'agent' as const, socket, only: publicKeyLine(key.getPublicSSH(), key.comment)}))
    .filter(({only}) => !usable.has(`key ${only.split(' ')[1]}`))
}

/** The public half of a candidate as an OpenSSH line, when it is known. */
export const publicHalf = (candidate: Candidate): string | undefined => (candidate.kind === 'key' ? candidate.publicKey : candidate.only)

/** How an error message names what was tried. */
export const describeCandidate = (candidate: Candidate): string => {
  const line = publicHalf(candidate)
  if (candidate.kind === 'key') return line === undefined ? candidate.path : `${candidate.path} (${fingerprint(line)})`
  if (candidate.path !== undefined) return `${candidate.path} (by ssh-agent)`
  return line === undefined
    ? 'the keys of ssh-agent'
    : `${line.split(' ').slice(2).join(' ') || 'a key'} of ssh-agent (${fingerprint(line)})`
}

const candidateOf = (key: PrivateKey, {agentSocket, canPrompt}: CandidateSources): Candidate => {
  if (!key.encrypted || canPrompt) return {kind: 'key', ...key}
  if (agentSocket && key.publicKey) return {kind: 'agent', socket: agentSocket, only: key.publicKey, path: key.path}
  throw new VmctlError(
    'vmctl::ssh::key_unusable',
    `The private key ${key.path} is encrypted${agentSocket ? ', and its public half is not beside it' : ''}.`,
    {
      help: `Load it into ssh-agent first: \`ssh-add ${key.path}\`.`,
      reason: 'encrypted',
      details: {path: key.path},
    },
  )
}

const readUnless = async (path: string, passOver: (reason: FailureFacts['reason']) => boolean): Promise<PrivateKey | undefined> => {
  try {
    return await readPrivateKey(path)
  } catch (error) {
    if (isVmctlError(error) && passOver(error.facts.reason)) return undefined
    throw error
  }
}

const identity = (candidate: Candidate): string =>
  candidate.kind === 'key' ? `key ${candidate.publicKey?.split(' ')[1] ?? candidate.path}` : `agent ${candidate.only?.split(' ')[1] ?? ''}`
