import {dump} from 'js-yaml'

import type {Nic} from '../../model/vm.ts'

export interface GuestInterfaces {
  /** MAC address of the interface by which vmctl reaches the guest; it has one unless the VM has no network of its own. */
  readonly management?: string | undefined
  readonly nics: readonly Nic[]
  /** Whether the guest configures them by netplan, which needs no names of interfaces. */
  readonly byNetplan?: boolean
  /** Whether the disk was another guest's, whose machine-id is there until after the network: DHCP servers would take it for that one. */
  readonly isDerived?: boolean
}

/**
 * The network configuration of a guest that has more than its management interface: version 2 of cloud-init's ("Networking config
 * version 2"), which is netplan's. Interfaces are found by their MAC addresses; only the first must be there for the boot to go on.
 * A guest with a way out over a bridge takes it before that over its management interface.
 *
 * They get the names that a kernel gives by itself, because cloud-init's renderers for ifupdown and for NetworkManager go by the
 * name. netplan goes by the address and gets none: renaming in the first boot may leave an interface unconfigured there
 * (Ubuntu 26.04, Launchpad 2136392).
 */
export const networkConfig = ({management, nics, byNetplan = false, isDerived = false}: GuestInterfaces): string => {
  const own = management === undefined ? [] : [{match: {macaddress: management}, dhcp4: true, 'dhcp4-overrides': {'route-metric': 200}}]
  const others = nics.map((nic) => ({
    match: {macaddress: nic.mac},
    ...addressing(nic),
    ...(nic.mtu !== undefined && {mtu: nic.mtu}),
    optional: true,
  }))
  const dhcpIdentity = isDerived ? {'dhcp-identifier': 'mac'} : {}
  const ethernets = Object.fromEntries(
    [...own, ...others].map((settings, index) =>
      byNetplan
        ? [`vmctl${index}`, {...settings, ...dhcpIdentity}]
        : [`eth${index}`, {...settings, ...dhcpIdentity, 'set-name': `eth${index}`}],
    ),
  )
  return dump({version: 2, ethernets}, {lineWidth: -1, noRefs: true})
}

const addressing = ({dhcp, ip, prefix = 24, gateway}: Nic): Readonly<Record<string, unknown>> => {
  if (dhcp) return {dhcp4: true, 'dhcp4-overrides': {'route-metric': 100}}
  return {
    dhcp4: false,
    ...(ip !== undefined && {addresses: [`${ip}/${prefix}`]}),
    ...(gateway !== undefined && {routes: [{to: '0.0.0.0/0', via: gateway, metric: 100}], nameservers: {addresses: [gateway]}}),
  }
}
