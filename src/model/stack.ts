/**
 * What VMs share: networks, volumes, folders, ports, and the order in which they start. As in `vm.ts`, a *spec* is what was
 * asked for. A VM's spec holds the definitions that it uses whole, so that one VM can be started without its VMFile.
 */

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

export interface PortForward {
  readonly protocol: 'tcp' | 'udp'
  /** Address of the host that is listened on. */
  readonly bind: string
  /** Host port; a free one is chosen, and kept, when absent. */
  readonly host?: number
  readonly guest: number
}

/** A forward whose host port is known. */
export interface ForwardedPort extends PortForward {
  readonly host: number
}

/** A named disk of the top level of a VMFile. */
export interface VolumeSpec {
  /** Unique in the state directory: `<scope>.<name>`, or `<scope>.<name>-<replica>` of a volume per replica. */
  readonly id: string
  readonly name: string
  readonly sizeBytes: number
  readonly filesystem: 'ext4' | 'xfs' | 'none'
  /** Label of the file system; derived from the id when absent. */
  readonly label?: string
}

export interface VolumeMount {
  readonly volume: VolumeSpec
  /** Absolute path in the guest; absent for a volume without a file system. */
  readonly target?: string
  readonly readOnly: boolean
  /** Mount options besides those that vmctl needs. */
  readonly options: readonly string[]
}

/** A folder or file of the host in the guest. */
export interface Share {
  /** Absolute path on the host. */
  readonly source: string
  /** Whether the source is one file. */
  readonly isFile: boolean
  /** Absolute path in the guest. */
  readonly target: string
  readonly readOnly: boolean
  readonly automount: boolean
  readonly driver: 'auto' | 'virtiofs' | '9p'
  readonly options: readonly string[]
  /** At most 31 bytes (the limit of 9p); derived from the target when absent. */
  readonly tag?: string
}

/** A device of the host that is handed to the guest by VFIO. */
export interface PciDevice {
  /** Domain, bus, device and function in full: `0000:01:00.0`. */
  readonly address: string
  /** Absolute path. */
  readonly romFile?: string
}

/** What another VM must have reached before this one starts. */
export const dependencyConditions = ['started', 'ssh', 'healthy', 'provisioned'] as const

export type DependencyCondition = (typeof dependencyConditions)[number]

export interface Dependency {
  /** Name of the VM that is waited for, as in its own spec; a service with replicas stands here once for each. */
  readonly vm: string
  readonly condition: DependencyCondition
}

/** How it is found out whether what the guest is for works. */
export type HealthTest =
  /** Program and arguments, run in the guest as the SSH user. */
  | {readonly kind: 'exec'; readonly command: readonly string[]}
  /** A line for the guest's `sh -c`. */
  | {readonly kind: 'shell'; readonly line: string}
  /** A TCP port of the guest that accepts connections. */
  | {readonly kind: 'tcp'; readonly port: number}
  /** A URL as seen from the guest that answers with a status below 400. */
  | {readonly kind: 'http'; readonly url: string}

export interface Healthcheck {
  readonly test: HealthTest
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Failures in a row that make a VM unhealthy. */
  readonly retries: number
  /** Time after the start in which failures do not count. */
  readonly startPeriodMs: number
}

/** A Dockerfile whose instructions set up the guest. */
export interface DockerfileSpec {
  /** Absolute paths. */
  readonly path: string
  readonly context: string
  readonly buildArgs: Readonly<Record<string, string>>
}

/** A file that cloud-init writes at the first boot. */
export interface WriteFile {
  /** Absolute path in the guest. */
  readonly path: string
  /** Exactly one of the two; `source` is an absolute path on the host with the hash of its bytes. */
  readonly content?: string
  readonly source?: {readonly path: string; readonly sha256: string}
  readonly mode?: number
  readonly owner?: string
}

/** A command of cloud-init: a line for `sh`, or a program with its arguments. */
export type CloudCommand = string | readonly string[]
