import type {AnyAuthMethod, AuthHandlerMiddleware, BaseAgent, ParsedKey} from 'ssh2'

import type {Candidate, Refused} from './candidates.ts'
import {requirePublicKey} from '../keys/keys.ts'

export interface Authentication {
  readonly handler: AuthHandlerMiddleware
  /** What was offered so far, over earlier connections too, for the message when nothing worked. */
  readonly tried: () => readonly Candidate[]
  /** What was offered last, which is what has let us in when something has. */
  readonly latest: () => Candidate | undefined
  /** What could not be offered, and why. */
  readonly notes: string[]
  /** Paths of keys that need a passphrase, which the `ssh` program could ask for. */
  readonly encrypted: readonly string[]
  readonly isExhausted: () => boolean
  /** Keeps what was refused when the server has hung up before it has looked at all; `isAll` when that was its answer to the last one. */
  readonly remember: (isAll: boolean) => void
}

/** Offers the candidates one after the other. The useless method `none`, with which ssh2 starts, is left out. */
export const authentication = (
  {user, auth, refused = new Set()}: {readonly user: string; readonly auth: readonly Candidate[]; readonly refused?: Refused | undefined},
  ssh2: typeof import('ssh2'),
): Authentication => {
  const earlier = auth.filter((candidate) => refused.has(candidate))
  const queue = auth.filter((candidate) => !refused.has(candidate))
  const tried: Candidate[] = []
  const notes: string[] = []
  const encrypted: string[] = []
  const offered = new Set<string>()
  let exhausted = false
  const method = (candidate: Candidate): AnyAuthMethod | undefined => {
    if (candidate.kind === 'agent') {
      const only = candidate.only === undefined ? undefined : requirePublicKey(candidate.only).blob.toString('base64')
      const wanted = (key: string): boolean => (only === undefined ? !offered.has(key) : key === only)
      return {type: 'agent', username: user, agent: limitedAgent(ssh2.createAgent(candidate.socket), wanted)}
    }
    if (candidate.encrypted) {
      encrypted.push(candidate.path)
      notes.push(`${candidate.path} is encrypted`)
      return undefined
    }
    const key = ssh2.utils.parseKey(candidate.pem)
    if (key instanceof Error) {
      notes.push(`${candidate.path} cannot be used: ${key.message}`)
      return undefined
    }
    for (const one of [key].flat()) offered.add(one.getPublicSSH().toString('base64'))
    return {type: 'publickey', username: user, key: candidate.pem}
  }
  const next = (): AnyAuthMethod | false => {
    for (let candidate = queue.shift(); candidate; candidate = queue.shift()) {
      const found = method(candidate)
      if (found) {
        tried.push(candidate)
        return found
      }
    }
    exhausted = true
    // The next round begins with the first again.
    refused.clear()
    return false
  }
  return {
    tried: () => [...earlier, ...tried],
    latest: () => tried.at(-1),
    notes,
    encrypted,
    isExhausted: () => exhausted,
    remember(isAll) {
      for (const candidate of isAll ? tried : tried.slice(0, -1)) refused.add(candidate)
      if (auth.some((candidate) => !refused.has(candidate))) return
      exhausted = true
      refused.clear()
    },
    // ssh2 takes false for "no more"; its types know it only as an answer of the callback.
    handler: (_left, _partial, callback) => {
      callback(next() as AnyAuthMethod)
    },
  }
}

/** The agent, with only some of its keys: servers count every key that is offered as an attempt. */
const limitedAgent = <Agent extends BaseAgent>(agent: Agent, wanted: (key: string) => boolean): Agent => {
  const all = agent.getIdentities.bind(agent)
  agent.getIdentities = (callback) => {
    all((error, keys) => {
      if (error) callback(error)
      else
        callback(
          undefined,
          keys?.filter((key) => wanted((key as ParsedKey).getPublicSSH().toString('base64'))),
        )
    })
  }
  return agent
}
