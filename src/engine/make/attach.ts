import {emptySetup, type GuestSetup} from '../../guest/setup/script.ts'
import type {Attachments, Vm, VmSpec} from '../../model/vm.ts'
import {hostEntries} from '../../network/names.ts'
import {attachShares} from '../../share/shares.ts'
import type {Engine} from '../engine.ts'
import {mountsOf} from '../resources/mounts.ts'
import {attachNetworks, guestNetworks, seedNetworkConfig} from '../resources/networks.ts'
import {attachVolumes} from '../resources/volumes.ts'
import type {SeedContent} from './seed-documents.ts'
import {dockerfileEnvironment} from './steps.ts'

/**
 * Makes what a VM is to be connected to, and keeps what is there. Idempotent; the caller holds the VM's lock.
 * Everything that can be refused is refused before anything starts.
 */
export const attach = async (engine: Engine, vm: Pick<Vm, 'id' | 'name' | 'spec' | 'directory'>): Promise<Attachments> => ({
  nics: await attachNetworks(engine, vm.spec),
  disks: await attachVolumes(engine, vm),
  folders: await attachShares(vm.directory, vm.spec.shares ?? []),
})

/** What the guest of a VM gets from its stack, as far as it is known now; makes nothing. */
export const setupOf = async (engine: Engine, spec: VmSpec): Promise<GuestSetup> => {
  const {records, nics} = await guestNetworks(engine, spec)
  return {
    ...emptySetup,
    interfaces: nics.flatMap(({mac, ip, prefix, dhcp}) => (dhcp || ip === undefined ? [] : [{mac, address: `${ip}/${prefix ?? 24}`}])),
    hosts: hostEntries(records),
    environment: {...(await dockerfileEnvironment(engine, spec)), ...spec.env},
    mounts: mountsOf(spec),
  }
}

/** What the seed of a VM brings of its stack. The VM is prepared: the addresses of its interfaces are known. */
export const seedContentOf = async (engine: Engine, vm: Vm): Promise<SeedContent> => ({
  setup: await setupOf(engine, vm.spec),
  networkConfig: await seedNetworkConfig(engine, vm),
})
