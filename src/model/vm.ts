/**
 * The words of the domain. A *spec* is what was asked for, a *VM* is what exists,
 * an *observation* is what was just seen. Everything is plain, readonly data.
 */

/** States of the vmctl book, lower case. `destroyed` is what a VM that no longer exists would report. */
export type VmState = 'preparing' | 'prepared' | 'running' | 'suspended' | 'stopped' | 'failed' | 'destroyed'

/** Name of a backend: `qemu`, `noop`, or one that a plugin brings. */
export type BackendTag = string

export type ImageFormat = 'qcow2' | 'raw' | 'vmdk' | 'vdi' | 'vhdx'

/** Where a base image comes from. `source` is an absolute path or an absolute URL. */
export interface ImageReference {
  readonly kind: 'file' | 'url'
  readonly source: string
  readonly format?: ImageFormat
  /** Lower-case hex digests of the file as published (before decompression). */
  readonly sha256?: string
  readonly sha512?: string
  /** A file in the format of sha256sum/sha512sum (or BSD style) that lists the image. */
  readonly checksumUrl?: string
}

/** A base image on disk, verified and audited. Never written to once a VM uses it. */
export interface BaseImage {
  readonly path: string
  readonly format: ImageFormat
  readonly virtualSizeBytes: number
  /** sha256 of the file at `path`; absent for a local image, which stays where the user has it. */
  readonly sha256?: string
}

export type NetworkConfig =
  | {readonly type: 'user'}
  | {readonly type: 'tap'; readonly bridge: string}
  | {readonly type: 'vnic'; readonly name: string}
  | {readonly type: 'none'}

export interface CloudInitConfig {
  readonly hostname: string
  /** User to create; the SSH user when absent. */
  readonly user?: string
  /** Public keys in OpenSSH form, one line each. */
  readonly sshKeys: readonly string[]
  /** A user-data file that is passed through untouched; nothing is generated then. */
  readonly userData?: {readonly path: string; readonly sha256: string}
}

export interface SshConfig {
  readonly user?: string
  /** Absolute path. */
  readonly privateKeyPath?: string
}

export interface FirmwareConfig {
  readonly type: 'bios' | 'uefi'
  readonly secureBoot: boolean
  /** Absolute paths, given together or not at all. */
  readonly code?: string
  readonly vars?: string
}

export interface QemuConfig {
  readonly machine?: string
  readonly cpu?: string
  /** Accelerators in the order in which they are tried. */
  readonly accel?: readonly string[]
  readonly binary?: string
  /** Appended last, unchecked. */
  readonly args?: readonly string[]
}

/** When a provision step that was done runs again: after each start of the VM, when it or a step before it was changed, or never. */
export const runModes = ['always', 'on-change', 'once'] as const

export type RunMode = (typeof runModes)[number]

/** One provision step as declared; the provisioner of that type understands its settings. */
export interface ProvisionStep {
  readonly type: string
  /** The provisioner's own default when absent. */
  readonly run?: RunMode
  readonly settings: Readonly<Record<string, unknown>>
}

export interface VmSpec {
  readonly name: string
  readonly image: ImageReference
  readonly vcpus: number
  readonly memoryMiB: number
  /** Size of the disk; that of the base image when absent. */
  readonly diskBytes?: number
  readonly network: NetworkConfig
  readonly cloudInit?: CloudInitConfig
  readonly ssh?: SshConfig
  readonly firmware?: FirmwareConfig
  readonly qemu?: QemuConfig
  readonly provision: readonly ProvisionStep[]
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
  readonly base: BaseImage
  /** RFC 3339. */
  readonly createdAt: string
  /** How far the VM has come; what a backend observes takes precedence. */
  readonly phase: 'prepared' | 'started'
  /** The last operation that failed, until one succeeds. */
  readonly failure?: {readonly operation: string; readonly message: string; readonly at: string}
}

/** What a backend sees of a VM now, without touching the guest. */
export interface Observation {
  readonly state: VmState
  readonly pid?: number
  /** Where SSH answers on this computer, known before the guest has booted. */
  readonly sshPort?: number
  readonly macAddress?: string
  readonly vncAddress?: string
  readonly accelerator?: string
}

/** The state of a VM that has no process. */
export const stateAtRest = (vm: Pick<Vm, 'phase' | 'failure'>): VmState => {
  if (vm.failure) return 'failed'
  return vm.phase === 'prepared' ? 'prepared' : 'stopped'
}

/** From which states each verb is allowed (the book's table of transitions). */
export const allowedFrom = {
  start: ['prepared', 'stopped', 'failed'],
  stop: ['running', 'suspended'],
  suspend: ['running'],
  resume: ['suspended'],
} as const satisfies Record<string, readonly VmState[]>
