import {join} from 'node:path'

import type {Nic, Vm} from '../../model/vm.ts'
import type {LaunchFacts} from './launch-facts.ts'
import {forwardRule, forwardsOf} from './forwards.ts'
import {tapName} from './tap.ts'

/**
 * The interfaces of a VM: the one by which vmctl reaches it comes first, then those on networks, in order. On a mesh QEMU is the
 * one that listens (`server=on`): then the hub may come and go, and QEMU 7.2, which cannot connect again by itself, listens anew.
 */
export const networkArguments = (vm: Vm, facts: Pick<LaunchFacts, 'macAddress' | 'sshPort' | 'ports'>): string[] => [
  ...managementArguments(vm, facts),
  ...(vm.attachments?.nics ?? []).flatMap((nic, index) => nicArguments(vm, nic, `net${index + 1}`)),
]

const managementArguments = (vm: Vm, facts: Pick<LaunchFacts, 'macAddress' | 'sshPort' | 'ports'>): string[] => {
  const {network} = vm.spec
  if (network.type === 'none' || network.type === 'vnic') return []
  const netdev =
    network.type === 'user'
      ? [
          'user,id=net0',
          ...(network.isolated ? ['restrict=on'] : []),
          ...forwardsOf(facts).map((port) => `hostfwd=${forwardRule(port)}`),
        ].join(',')
      : tap('net0', tapName(vm))
  return [...['-netdev', netdev], ...['-device', `virtio-net-pci,netdev=net0,mac=${facts.macAddress}`]]
}

const tap = (id: string, name: string): string => `tap,id=${id},ifname=${name},script=no,downscript=no`

const nicArguments = (vm: Vm, nic: Nic, id: string): string[] => {
  const netdev =
    nic.link.kind === 'socket' ? `stream,id=${id},server=on,addr.type=unix,addr.path=${nic.link.name}` : tap(id, tapName(vm, nic.network))
  const mtu = nic.mtu === undefined ? '' : `,host_mtu=${nic.mtu}`
  // Without a ROM: nobody boots from these.
  return [...['-netdev', netdev], ...['-device', `virtio-net-pci,netdev=${id},mac=${nic.mac},romfile=${mtu}`]]
}

/** Sockets that QEMU makes in the VM's directory and leaves behind when it is killed. */
export const nicSockets = (vm: Vm): string[] =>
  (vm.attachments?.nics ?? []).flatMap(({link}) => (link.kind === 'socket' ? [join(vm.directory, link.name)] : []))
