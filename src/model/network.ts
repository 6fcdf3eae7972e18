/** `mesh` needs no privilege; `bridge` is a bridge that vmctl makes; `external` is one that exists. */
export type NetworkDriver = 'mesh' | 'bridge' | 'external'

/** A network of the top level of a VMFile. */
export interface NetworkSpec {
  /** Unique in the state directory: `<scope>.<name>`, where the scope is the project or stands for the VMFile. */
  readonly id: string
  /** As the VMFile calls it. */
  readonly name: string
  readonly driver: NetworkDriver
  /** IPv4 in CIDR form; chosen when the network is made, and kept, when absent. */
  readonly subnet?: string
  /** Name of the bridge: that of an existing one (`external`), or one to make (`bridge`; derived from the id when absent). */
  readonly bridgeName?: string
  /** First address of the subnet when absent. A mesh has no gateway, the address stays free. */
  readonly gateway?: string
  /** `bridge` only. */
  readonly dhcp: boolean
  readonly dns: boolean
  readonly nat: boolean
  readonly mtu?: number
}

/** One interface of a VM on a declared network. */
export interface NetworkAttachment {
  readonly network: NetworkSpec
  /** Chosen from the subnet, and kept, when absent. */
  readonly ip?: string
  readonly mac?: string
}
