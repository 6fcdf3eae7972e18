import {createHash} from 'node:crypto'
import {access, readFile} from 'node:fs/promises'

import {checkBridge, ip, mayAdministerNetwork} from '../host/net-admin.ts'
import {findProgram} from '../host/paths.ts'
import {lastLines} from '../host/process.ts'
import {VmctlError} from '../model/errors.ts'
import {parseSubnet} from '../model/ipv4.ts'
import type {NetworkSpec} from '../model/network.ts'
import {endDnsmasq, serveNetwork} from './dnsmasq.ts'
import {firewallProgram, masquerade, type Masquerade, unmasquerade} from './firewall.ts'
import type {NetworkRecord} from './record.ts'

/** A network with a bridge of its own, and where its files are. */
export interface Bridge {
  readonly directory: string
  readonly record: NetworkRecord
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Names the bridge of a network: at most 15 characters (IFNAMSIZ - 1), and unlike that of a network of the same name elsewhere. */
export const bridgeName = (directory: string): string => `vmbr-${hash(directory).slice(0, 10)}`

/** What proves that a bridge is ours, whatever its name: an alias that names the network's directory. At most 255 bytes are kept. */
const aliasOf = ({directory}: Bridge): string => `vmctl ${hash(directory)}`

const aliasOn = (bridge: string): Promise<string | undefined> =>
  readFile(`/sys/class/net/${bridge}/ifalias`, 'utf8').then(
    (text) => text.trim(),
    () => undefined,
  )

/** Whether an interface of that name is there now. */
export const isThere = async (bridge: string): Promise<boolean> => (await aliasOn(bridge)) !== undefined

const natOf = ({directory, record}: Bridge): Masquerade => ({
  tag: hash(directory).slice(0, 10),
  bridge: record.bridge ?? '',
  subnet: record.subnet ?? '',
})

/** Why a network on a bridge cannot be had here; undefined when it can. Makes nothing. */
export const bridgeProblem = async (spec: NetworkSpec): Promise<Error | undefined> => {
  if (spec.driver === 'external') {
    return checkBridge(spec.bridgeName ?? '').then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    )
  }
  if (!(await mayAdministerNetwork())) {
    return new VmctlError(
      'vmctl::network::permission',
      `The network ${spec.name} is a bridge of its own, which needs CAP_NET_ADMIN; this process does not have it.`,
      {
        help: 'Run vmctl as root (`sudo -E vmctl …`), or use `driver "mesh"`, which needs no privilege and reaches the internet too.',
        details: {network: spec.id, capability: 'CAP_NET_ADMIN'},
      },
    )
  }
  const missing = [
    ...((await findProgram('ip')) ? [] : ['ip (iproute2)']),
    ...((spec.dhcp || spec.dns) && !(await findProgram('dnsmasq')) ? ['dnsmasq (dnsmasq-base)'] : []),
    ...(spec.nat && !(await firewallProgram()) ? ['nft (nftables)'] : []),
  ]
  if (missing.length === 0) return undefined
  return new VmctlError('vmctl::host::not_installed', `The network ${spec.name} needs programs that are not here: ${missing.join(', ')}.`, {
    help: 'Install the packages named in brackets, or use `driver "mesh"`, which needs none of them.',
  })
}

/**
 * Makes sure that the bridge of a network is there and up with its address, NAT, DHCP and DNS. Idempotent; what was made is taken
 * back when something of it cannot be made. The caller holds the lock of the networks.
 * @throws VmctlError `vmctl::network::permission`, `vmctl::network::subnet_taken`, `vmctl::network::failed`
 */
export const raiseBridge = async (bridge: Bridge, signal: AbortSignal): Promise<void> => {
  const {record, directory} = bridge
  const problem = await bridgeProblem(record.spec)
  if (problem) throw problem
  const isNew = await makeBridge(bridge, signal)
  try {
    if (record.spec.nat) await masquerade(natOf(bridge))
    else await unmasquerade(natOf(bridge))
    await serveNetwork(directory, record, signal)
  } catch (error) {
    if (isNew) await lowerBridge(bridge)
    throw error
  }
}

/** Resolves to whether it was made now. */
const makeBridge = async (bridge: Bridge, signal: AbortSignal): Promise<boolean> => {
  const name = bridge.record.bridge ?? ''
  const alias = await aliasOn(name)
  if (alias !== undefined && !isOurs(bridge, alias)) {
    throw new VmctlError('vmctl::network::failed', `There is an interface named ${name} already, which vmctl has not made.`, {
      help: `To attach VMs to it, write \`driver "external"\`; for a bridge of its own, give the network another \`bridge-name\` or none.`,
    })
  }
  const isNew = alias === undefined
  // One process does it all, so that a vmctl that is killed meanwhile leaves no half of it.
  const result = await ip(
    ['-batch', '-'],
    undefined,
    [...(isNew ? [`link add name ${name} type bridge`] : []), ...settings(bridge), ''].join('\n'),
  )
  if (result.exitCode !== 0) {
    if (isNew && (await aliasOn(name)) !== undefined) await ip(['link', 'delete', 'dev', name])
    throw new VmctlError('vmctl::network::failed', `Cannot make the bridge ${name}: ${lastLines(result.stderr, 2)}`)
  }
  signal.throwIfAborted()
  return isNew
}

/** What makes an interface the bridge of the network, as commands of ip(8). */
const settings = (bridge: Bridge): string[] => {
  const {bridge: name = '', gateway, subnet, spec} = bridge.record
  return [
    `link set dev ${name} alias "${aliasOf(bridge)}"`,
    ...(spec.mtu === undefined ? [] : [`link set dev ${name} mtu ${spec.mtu}`]),
    `address replace ${gateway}/${parseSubnet(subnet ?? '')?.prefix ?? 24} dev ${name}`,
    `link set dev ${name} up`,
  ]
}

/** Whether a bridge of that alias is ours. A name that is made of our directory is nobody else's, also without its alias. */
const isOurs = (bridge: Bridge, alias: string): boolean =>
  alias === aliasOf(bridge) || (alias === '' && bridge.record.bridge === bridgeName(bridge.directory))

/** Takes back everything of `raiseBridge`; nothing happens when there is nothing. A bridge that is not ours is not touched. */
export const lowerBridge = async (bridge: Bridge): Promise<void> => {
  const name = bridge.record.bridge ?? ''
  await endDnsmasq(bridge.directory)
  const alias = await aliasOn(name)
  if (alias !== undefined && !(await mayAdministerNetwork())) {
    throw new VmctlError('vmctl::network::permission', `Removing the bridge ${name} needs CAP_NET_ADMIN, which this process does not have.`)
  }
  if (await mayAdministerNetwork()) await unmasquerade(natOf(bridge))
  if (alias === undefined || !isOurs(bridge, alias)) return
  const result = await ip(['link', 'delete', 'dev', name])
  const remains = await access(`/sys/class/net/${name}`).then(
    () => true,
    () => false,
  )
  if (remains) throw new VmctlError('vmctl::network::failed', `Cannot remove the bridge ${name}: ${lastLines(result.stderr, 1)}`)
}
