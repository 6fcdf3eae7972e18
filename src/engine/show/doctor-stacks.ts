import {readdir} from 'node:fs/promises'

import {mayAdministerNetwork} from '../../host/net-admin.ts'
import {howToInstall, type PackageName} from '../../host/packages.ts'
import {findProgram} from '../../host/paths.ts'
import type {Check} from '../../model/check.ts'
import {pathExists} from '../../host/files.ts'

/** Where the facts of the host are; other paths are for tests. */
export interface HostFacts {
  /** Its IOMMU groups (sysfs-kernel-iommu_groups). */
  readonly iommuGroups: string
  /** There when systemd is the first process (sd_booted(3)). */
  readonly systemd: string
}

const hostFacts: HostFacts = {iommuGroups: '/sys/kernel/iommu_groups', systemd: '/run/systemd/system'}

/** What only some stacks need, each with what it is for: a VM without them runs, so none of it is a failure. */
export const examineStacks = async ({iommuGroups, systemd}: HostFacts = hostFacts): Promise<readonly Check[]> => [
  (await mayAdministerNetwork())
    ? {name: 'net-admin', status: 'ok', detail: 'this process has CAP_NET_ADMIN'}
    : {
        name: 'net-admin',
        status: 'warn',
        detail: 'this process lacks CAP_NET_ADMIN. Needed for `network "tap"`, and networks with `driver="bridge"` or `driver="external"`.',
        help: 'Run vmctl as root for these. A network of the driver mesh, which is the default, needs no privilege.',
      },
  await program('dnsmasq', ['dnsmasq'], 'networks with `driver="bridge"`'),
  await program('nftables', ['nft', 'iptables'], 'the NAT of networks with `driver="bridge"`'),
  (await pathExists(systemd))
    ? {name: 'systemd', status: 'ok', detail: 'it runs this host'}
    : {
        name: 'systemd',
        status: 'warn',
        detail: 'it does not run this host. Needed for `vmctl install`.',
        help: 'Start the VMs at boot by other means: `vmctl up --autostart`.',
      },
  await examineIommu(iommuGroups),
]

/** The first of several programs that do. Found, not run: most of them want privileges even for their version. */
const program = async (name: PackageName, programs: readonly string[], use: string): Promise<Check> => {
  for (const one of programs) {
    const path = await findProgram(one)
    if (path !== undefined) return {name, status: 'ok', detail: path}
  }
  return {
    name,
    status: 'warn',
    detail: `${programs.join(' and ')} ${programs.length === 1 ? 'is' : 'are'} not installed. Needed for ${use}.`,
    help: await howToInstall(name),
  }
}

const examineIommu = async (directory: string): Promise<Check> => {
  const groups = await readdir(directory).catch(() => [])
  if (groups.length > 0) return {name: 'iommu', status: 'ok', detail: `${groups.length} groups`}
  return {
    name: 'iommu',
    status: 'warn',
    detail: 'the host has no IOMMU groups. Needed for `device "pci"`.',
    help: 'Enable VT-d or AMD-Vi in the firmware, and boot with `intel_iommu=on` or `amd_iommu=on`.',
  }
}
