import {randomBytes} from 'node:crypto'

import {VmctlError} from '../model/errors.ts'
import {contains, formatAddress, parseAddress, parseSubnet} from '../model/ipv4.ts'
import type {Member} from './record.ts'

/** A VM that is to be on a network. */
export interface Candidate {
  /** Name in the store. */
  readonly vm: string
  readonly hostname: string
  readonly service: string
  readonly replica?: number | undefined
  readonly ip?: string | undefined
  readonly mac?: string | undefined
}

export interface Seats {
  readonly network: string
  readonly subnet?: string | undefined
  readonly gateway?: string | undefined
  readonly members: Readonly<Record<string, Member>>
}

/**
 * Gives each candidate an address and a MAC address: those that it asked for, else those that it had, else free ones. Members that
 * are not asked for keep theirs; only those that are gone make room when it is needed. Pure but for the MAC addresses of a network
 * without a subnet, which are random.
 * @throws VmctlError `vmctl::network::address_taken`
 */
export const seatMembers = (
  seats: Seats,
  candidates: readonly Candidate[],
  isGone: (vm: string) => boolean,
): Readonly<Record<string, Member>> => {
  const asked = new Map(candidates.map((candidate) => [candidate.vm, candidate]))
  const kept = new Map(Object.entries(seats.members).filter(([vm]) => !asked.has(vm)))
  const addresses = seats.subnet === undefined ? undefined : addressBook(seats, seats.subnet, {kept, isGone})
  const seated = new Map<string, Member>()
  const known = Object.values(seats.members).map(({mac}) => mac)

  const seat = (candidate: Candidate, ip: string | undefined): void => {
    const before = seats.members[candidate.vm]
    const macs = new Set([...kept.values(), ...seated.values()].map(({mac}) => mac))
    // Also under another IP address: the interface of a guest that runs is known by it.
    const mac = candidate.mac?.toLowerCase() ?? (before && !macs.has(before.mac) ? before.mac : freeMac(ip, new Set([...macs, ...known])))
    if (macs.has(mac)) {
      throw new VmctlError('vmctl::network::address_taken', `The MAC address ${mac} of ${candidate.vm} is used twice in ${seats.network}.`)
    }
    seated.set(candidate.vm, {
      ...(ip !== undefined && {ip}),
      mac,
      isFixed: candidate.ip !== undefined,
      hostname: candidate.hostname,
      service: candidate.service,
      ...(candidate.replica !== undefined && {replica: candidate.replica}),
    })
  }
  const chosen = new Map<string, string | undefined>()
  const choose = (some: readonly Candidate[], pick: (candidate: Candidate) => string | undefined): void => {
    for (const candidate of some) {
      const ip = pick(candidate)
      if (ip !== undefined) chosen.set(candidate.vm, ip)
    }
  }
  if (addresses) {
    choose(candidates, ({vm, ip}) => (ip === undefined ? undefined : addresses.fixed(vm, ip)))
    choose(
      candidates.filter(({vm}) => !chosen.has(vm)),
      ({vm}) => addresses.again(vm, seats.members[vm]?.ip),
    )
    choose(
      candidates.filter(({vm}) => !chosen.has(vm)),
      ({vm}) => addresses.free(vm),
    )
  }
  for (const candidate of candidates) seat(candidate, chosen.get(candidate.vm) ?? candidate.ip)
  const all = new Map([...kept, ...seated])
  // Those that were there keep their places, so that nothing is written when nothing changes.
  const order = new Set([...Object.keys(seats.members), ...all.keys()])
  return Object.fromEntries([...order].flatMap((vm) => (all.has(vm) ? [[vm, all.get(vm) as Member]] : [])))
}

/** The addresses of a subnet, each given once. */
const addressBook = (seats: Seats, text: string, {kept, isGone}: {kept: Map<string, Member>; isGone: (vm: string) => boolean}) => {
  const subnet = parseSubnet(text) ?? {first: 0, last: 0, prefix: 32}
  const gateway = parseAddress(seats.gateway ?? '')
  const given = new Map<number, string>([...kept].flatMap(([vm, {ip}]) => (ip === undefined ? [] : [[parseAddress(ip) ?? 0, vm]])))
  const isUsable = (address: number): boolean =>
    contains(subnet, address) && address !== subnet.first && address !== subnet.last && address !== gateway
  const take = (address: number, vm: string): string => {
    given.set(address, vm)
    return formatAddress(address)
  }
  const dismiss = (address: number): boolean => {
    const vm = given.get(address)
    if (vm === undefined || !kept.has(vm) || !isGone(vm)) return false
    kept.delete(vm)
    return given.delete(address)
  }
  return {
    fixed(vm: string, ip: string): string {
      const address = parseAddress(ip)
      if (address === undefined || !isUsable(address)) {
        throw new VmctlError('vmctl::network::address_taken', `${vm} cannot have the address ${ip} in ${seats.network} (${text}).`)
      }
      if (given.has(address) && !dismiss(address)) {
        throw new VmctlError('vmctl::network::address_taken', `${vm} cannot have the address ${ip}: ${given.get(address)} has it.`, {
          details: {network: seats.network, ip, vm: given.get(address)},
        })
      }
      return take(address, vm)
    },
    again(vm: string, ip: string | undefined): string | undefined {
      const address = parseAddress(ip ?? '')
      return address !== undefined && isUsable(address) && !given.has(address) ? take(address, vm) : undefined
    },
    free(vm: string): string {
      for (const makesRoom of [false, true]) {
        // From the second one: the first is the gateway's, or stays free.
        for (let address = subnet.first + 2; address < subnet.last; address++) {
          if (isUsable(address) && (!given.has(address) || (makesRoom && dismiss(address)))) return take(address, vm)
        }
      }
      throw new VmctlError('vmctl::network::address_taken', `The network ${seats.network} (${text}) has no free address for ${vm}.`, {
        help: 'Give the network a larger `subnet`, or destroy VMs that are not needed.',
      })
    },
  }
}

/**
 * A locally administered unicast address with `VM` in front (56:4d). With an IP address it is made of that, so that it is as unique
 * and as stable; QEMU's own 52:54:00 is left to management interfaces.
 */
const freeMac = (ip: string | undefined, taken: ReadonlySet<string>): string => {
  const address = parseAddress(ip ?? '')
  for (let tail = address; ; tail = undefined) {
    const bytes = tail === undefined ? randomBytes(4) : Buffer.from([tail >>> 24, tail >>> 16, tail >>> 8, tail].map((byte) => byte & 255))
    const mac = ['56', '4d', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
    if (!taken.has(mac)) return mac
  }
}
