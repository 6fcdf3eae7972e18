/**
 * The words of the domain. A *spec* is what was asked for, a *VM* is what exists,
 * an *observation* is what was just seen. Everything is plain, readonly data. The spec of a VM holds the networks and volumes that
 * it uses whole, so that one VM can be started without its VMFile.
 */

import type {Architecture, CpuLevel, Firmware} from './catalogue.ts'
import type {DockerfileSpec} from './dockerfile.ts'
import type {Healthcheck} from './health.ts'
import type {ForwardedPort, PortForward} from './port.ts'
import type {CloudInitConfig} from './cloud-init.ts'
import type {PciDevice} from './device.ts'
import type {HomeSpec, PlaceSpec} from './home.ts'
import type {Saved} from './saveable.ts'
import type {DiskLayer, Share, VolumeMount} from './storage.ts'
import type {Dependency} from './order.ts'
import type {NetworkAttachment} from './network.ts'
import type {ProvisionStep} from './steps.ts'
import type {VmfileTraits} from './vmfile-traits.ts'

/** States of the vmctl book, lower case. `destroyed` is what a VM that no longer exists would report. */
export type VmState = 'preparing' | 'prepared' | 'running' | 'suspended' | 'saved' | 'stopped' | 'failed' | 'destroyed'

/** Name of a backend: `qemu`, `noop`, or one that a plugin brings. */
export type BackendTag = string

/** The backend that runs nothing: what it shows as running is no VM. */
export const noopBackend: BackendTag = 'noop'

export type ImageFormat = 'qcow2' | 'raw' | 'vmdk' | 'vdi' | 'vhdx'

/** What runs in a guest as its first process, and what comes with that: the shell, `sudo` or `doas`. */
export type GuestOs = 'systemd' | 'openrc'

/** Where a base image comes from. `source` is an absolute path or an absolute URL. */
export interface ImageReference {
  readonly kind: 'file' | 'url' | 'name'
  /** A path, a URL, or the name of an image of the catalogue: `debian:12`. */
  readonly source: string
  /** Of the guests that an image with a name is for; x86_64 when absent. */
  readonly architecture?: Architecture
  /** Which one is meant where a publisher has an image for each kind. */
  readonly firmware?: Firmware
  /** What x86-64 processors must have. */
  readonly cpuLevel?: CpuLevel
  readonly format?: ImageFormat
  /** Lower-case hex digests of the file as published (before decompression). */
  readonly sha256?: string
  readonly sha512?: string
  /** A file in the format of sha256sum/sha512sum (or BSD style) that lists the image. */
  readonly checksumUrl?: string
  /** Whether http and any certificate of the server are accepted. */
  readonly insecure?: boolean
  /** The user that the image is made for, when the image is a well-known one. */
  readonly user?: string
  /** `systemd` when absent. */
  readonly os?: GuestOs
}

/** A base image on disk, verified and audited. Never written to once a VM uses it. */
export interface BaseImage {
  readonly path: string
  readonly format: ImageFormat
  readonly virtualSizeBytes: number
  /** Whether it is no disk, but the root file system of a container in an archive with its metadata, as Incus packs them. */
  readonly isArchive?: true
  /** sha256 of the image as it was published, before it was unpacked; absent for a local image, which stays where the user has it. */
  readonly sha256?: string
}

export type NetworkConfig =
  /** `isolated`: the guest reaches nothing, the host reaches its ports. */
  | {readonly type: 'user'; readonly isolated?: boolean}
  /** The addresses are chosen, and found out, when absent. */
  | {readonly type: 'tap'; readonly bridge: string; readonly mac?: string; readonly ip?: string}
  | {readonly type: 'vnic'; readonly name: string}
  | {readonly type: 'none'}

/** Kinds of SSH keys that vmctl makes: Ed25519; ECDSA on the curve P-256 and RSA with 3072 bits for guests in FIPS mode. */
export const sshKeyTypes = ['ed25519', 'ecdsa', 'rsa'] as const

export type SshKeyType = (typeof sshKeyTypes)[number]

export interface SshConfig {
  readonly user?: string
  /** Absolute path. */
  readonly privateKeyPath?: string
  /** Host port that is forwarded to the guest's SSH; chosen, and kept, when absent. */
  readonly port?: number
  /** `pin` when absent: the host key is known before the first connection, or kept from then on. */
  readonly hostKeyCheck?: 'pin' | 'accept-new' | 'off'
  readonly connectTimeoutMs?: number
  /** Of the host key and the key pair that vmctl makes; `ed25519` when absent. */
  readonly keyType?: SshKeyType
  /** Whether the guest has a POSIX shell; it has when absent. One without is reached by SFTP and by commands of its own. */
  readonly shell?: boolean
}

export interface FirmwareConfig {
  readonly type: 'bios' | 'uefi'
  readonly secureBoot: boolean
  /** Absolute paths, given together or not at all. */
  readonly code?: string
  readonly vars?: string
}

/** What the nodes of backends say (`qemu { … }`), by their names: a backend that has one declares its type here. */
// oxlint-disable-next-line typescript/no-empty-object-type typescript/no-empty-interface -- Backends fill it.
export interface BackendSections {}

export interface VmSpec extends BackendSections {
  /** Unique in the state directory: `<project>.<service>-<replica>`, without the parts that do not apply. */
  readonly name: string
  readonly project?: string
  /** What the VMFile calls it; the name when absent. */
  readonly service?: string
  /** From 0; absent for a VM without replicas. */
  readonly replica?: number
  readonly image: ImageReference
  /** Where it lives; on this host when absent. */
  readonly home?: HomeSpec
  /** A machine of its own when absent. */
  readonly kind?: 'container'
  readonly place?: PlaceSpec
  readonly vcpus: number
  readonly memoryMiB: number
  /** Size of the disk; that of the base image when absent. */
  readonly diskBytes?: number
  /** The interface by which vmctl reaches the guest. */
  readonly network: NetworkConfig
  /** The interfaces on declared networks, in the order of the file. */
  readonly networks?: readonly NetworkAttachment[]
  readonly ports?: readonly PortForward[]
  readonly volumes?: readonly VolumeMount[]
  readonly shares?: readonly Share[]
  readonly devices?: readonly PciDevice[]
  readonly dependsOn?: readonly Dependency[]
  readonly healthcheck?: Healthcheck
  /** How long the guest may take to power off before it is forced to; 30 s when absent. */
  readonly stopGraceMs?: number
  /** Whether `vmctl install` brings it up at boot; true when absent. */
  readonly autostart?: boolean
  /** Whether `down` keeps its memory on disk; false when absent. */
  readonly warm?: boolean
  readonly labels?: Readonly<Record<string, string>>
  /** In /etc/environment of the guest, for provision steps and health checks. */
  readonly env?: Readonly<Record<string, string>>
  /** Applied at the first boot, before runcmd. */
  readonly dockerfile?: DockerfileSpec
  readonly cloudInit?: CloudInitConfig
  readonly ssh?: SshConfig
  readonly firmware?: FirmwareConfig
  readonly provision: readonly ProvisionStep[]
}

/**
 * What a VM is connected to besides its own disk and its management interface. The parts (networks, volumes, shares) make it,
 * a backend takes it as it is.
 */
export interface Attachments {
  readonly nics: readonly Nic[]
  readonly disks: readonly AttachedDisk[]
  readonly folders: readonly SharedFolder[]
}

export interface Nic {
  /** Id of the network. */
  readonly network: string
  readonly mac: string
  /** Its IPv4 address, when vmctl chooses it, and the prefix length of the subnet. */
  readonly ip?: string
  readonly prefix?: number
  /** Whether the guest asks a DHCP server, which gives it `ip` when that is known; else it configures `ip` itself. */
  readonly dhcp: boolean
  /** Default gateway, which also answers DNS, of a guest that configures itself. */
  readonly gateway?: string
  readonly mtu?: number
  /**
   * `socket`: the backend listens on a Unix socket of this name in the VM's directory, whose peer exchanges Ethernet frames, each
   * behind its length in 4 bytes (big-endian), as in QEMU's `-netdev stream`. `bridge`: a bridge of the host.
   */
  readonly link: {readonly kind: 'socket'; readonly name: string} | {readonly kind: 'bridge'; readonly bridge: string}
}

export interface AttachedDisk {
  /** Absolute path of a qcow2 file. */
  readonly path: string
  /** At most 20 bytes, the limit of virtio-blk; the guest finds the disk as /dev/disk/by-id/virtio-SERIAL. */
  readonly serial: string
  readonly readOnly: boolean
}

export interface SharedFolder {
  /** Absolute path of a directory. */
  readonly path: string
  readonly tag: string
  readonly readOnly: boolean
  /** `auto`: the backend decides; the guest finds out by the tag. */
  readonly driver: 'auto' | 'virtiofs' | '9p'
}

/** The record of a VM, stored as `vm.json` beside its disk. */
export interface Vm {
  readonly schema: 1
  /** UUID; also the SMBIOS UUID of the guest and the proof that a QEMU process is ours. */
  readonly id: string
  readonly name: string
  readonly backend: BackendTag
  /** Absolute path of the directory that holds everything of this VM; derived from where the record was read. */
  readonly directory: string
  /** The spec as last applied. */
  readonly spec: VmSpec
  /** Absolute path of the VMFile that owns the VM; absent when it was made by `vmctl create`. */
  readonly vmfile?: string
  /** By what that file is recognised when it was moved. */
  readonly vmfileTraits?: VmfileTraits
  readonly base: BaseImage
  /** The layer of provision steps on which its disk was made; on the image itself when absent. */
  readonly layer?: DiskLayer
  /** By what the guest knows itself, when that is older than this record: the disk has come from another VM's. */
  readonly identity?: string
  /**
   * Whose disk it was when this VM was made: a VM, or a layer. Its guest takes an identity of its own when it first boots, and what
   * cloud-init does once is not done again.
   */
  readonly derivedFrom?: string
  /** What the engine has attached to the VM, as of its last start. */
  readonly attachments?: Attachments
  /** RFC 3339. */
  readonly createdAt: string
  /** How far the VM has come; what a backend observes takes precedence. */
  readonly phase: 'prepared' | 'started'
  /** When the user has suspended it, in ISO 8601; absent while it runs. */
  readonly suspendedAt?: string
  /** The guest stands still, its memory is on disk, and nothing of it runs; on record in a file of its own, `saved.json`. */
  readonly saved?: Saved
  /** The name of the snapshot to which the VM is being put back: until that is done its disks do not belong together. */
  readonly restoring?: string
  /** The last operation that failed, until one succeeds. */
  readonly failure?: {readonly operation: string; readonly message: string; readonly at: string}
}

/** What a backend sees of a VM now, without touching the guest. */
export interface Observation {
  readonly state: VmState
  /** What has crashed, when the guest has: its state is `failed` then, although there is something to stop. */
  readonly crash?: string
  /** Why the guest does not run on although nobody has suspended it, and what it needs: its state is `suspended` then. */
  readonly pause?: string
  readonly pid?: number
  /** Where SSH answers on the host, known before the guest has booted. */
  readonly sshPort?: number
  /** What else leads to the guest, in the order of the spec; reserved also while the VM is at rest. */
  readonly ports?: readonly ForwardedPort[]
  readonly macAddress?: string
  readonly vncAddress?: string
  readonly accelerator?: string
  /** Of the cluster that it lives on, the member that it is on now. */
  readonly member?: string
  /** What a VM that runs has lost meanwhile, and how it comes back, a sentence each. */
  readonly problems?: readonly string[]
}

/** The state of a VM that has no process. */
export const stateAtRest = (vm: Pick<Vm, 'phase' | 'failure' | 'saved'>): VmState => {
  if (vm.saved) return 'saved'
  if (vm.failure) return 'failed'
  return vm.phase === 'prepared' ? 'prepared' : 'stopped'
}

/** Whether anything of a VM runs, or looks as if it did: nothing that a running guest uses may be touched then. */
export const isAlive = ({pid, crash, state}: Pick<Observation, 'pid' | 'crash' | 'state'>): boolean =>
  pid !== undefined || crash !== undefined || state === 'running' || state === 'suspended'

/** Whether the disks of a VM belong to a guest that goes on: one of which something runs, or whose memory is kept. */
export const ownsDisks = (observation: Pick<Observation, 'pid' | 'crash' | 'state'>): boolean =>
  isAlive(observation) || observation.state === 'saved'
