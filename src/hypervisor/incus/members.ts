import type {Check} from '../../model/check.ts'

/** A member of a cluster as another one sees it. */
export interface Member {
  readonly server_name: string
  /** Online, Offline, Evacuated, Blocked. */
  readonly status: string
  readonly message: string | undefined
  readonly roles: readonly string[]
}

/** For so long a member that reads Offline may be one that is well: a leader that is busy with a dead one takes others for dead too. */
const doubtMs = 60_000

/**
 * For how many milliseconds nothing was heard of a member, as its message has it: `No heartbeat for 1m2.5s (…)`; undefined when it
 * does not say so.
 */
export const silentMs = (message = ''): number | undefined => {
  const [, written] = /No heartbeat for ([\dhms.µn]+)/.exec(message) ?? []
  if (written === undefined) return undefined
  const units: Readonly<Record<string, number>> = {h: 3_600_000, m: 60_000, s: 1000, ms: 1}
  const parts = [...written.matchAll(/([\d.]+)(ms|[hms])/g)]
  return parts.reduce((sum, [, amount, unit = 's']) => sum + Number(amount) * (units[unit] ?? 0), 0)
}

/** What a member is believed to be. One reading of Offline is not believed. */
export const stateOfMember = ({
  status,
  message,
}: Pick<Member, 'status' | 'message'>): 'online' | 'offline' | 'doubtful' | 'evacuated' | 'blocked' => {
  if (status === 'Offline') return (silentMs(message) ?? 0) >= doubtMs ? 'offline' : 'doubtful'
  if (status === 'Evacuated') return 'evacuated'
  return status === 'Blocked' ? 'blocked' : 'online'
}

/** Members, and how many of them may go before the cluster stands still. */
export const examineMembers = (members: readonly Member[]): Check[] =>
  members.length === 0 ? [] : [...members.map(examineMember), examineQuorum(members)]

const examineMember = (member: Member): Check => {
  const {server_name: name, message} = member
  const ms = silentMs(message)
  const since = ms === undefined ? '' : `, nothing heard for ${Math.round(ms / 1000)} s`
  switch (stateOfMember(member)) {
    case 'online': {
      return {name: 'member', status: 'ok', detail: `${name} is online`}
    }
    case 'evacuated': {
      return {
        name: 'member',
        status: 'warn',
        detail: `${name} is evacuated: it takes no VMs`,
        help: `Bring it back: \`incus cluster restore ${name}\`.`,
      }
    }
    case 'blocked': {
      return {
        name: 'member',
        status: 'warn',
        detail: `${name} is blocked: it has another version than the others`,
        help: 'Update the members to one version.',
      }
    }
    case 'doubtful': {
      return {
        name: 'member',
        status: 'warn',
        detail: `${name} may be offline${since}`,
        help: 'Ask again in a minute: while a cluster misses one member, it takes others for missing too.',
      }
    }
    case 'offline': {
      return {
        name: 'member',
        status: 'warn',
        detail: `${name} is offline${since}`,
        help: `Its VMs are down, or out of reach, until it is back. Look at incusd on ${name}.`,
      }
    }
  }
}

const examineQuorum = (members: readonly Member[]): Check => {
  // Those that vote have a role; a cluster of one or two may have one that votes.
  const voters = members.filter(({roles}) => roles.some((role) => role === 'database' || role === 'database-leader'))
  const up = voters.filter((member) => stateOfMember(member) !== 'offline' && stateOfMember(member) !== 'doubtful').length
  const spare = up - (Math.floor(voters.length / 2) + 1)
  const detail = `${up} of ${voters.length} members with the database are there; ${spare > 0 ? `${spare} more may go` : 'none may go'}`
  if (spare > 0) return {name: 'quorum', status: 'ok', detail}
  return {
    name: 'quorum',
    status: 'warn',
    detail,
    help: 'When more than half of them are gone nothing can be changed. Three members bear the loss of one.',
  }
}
