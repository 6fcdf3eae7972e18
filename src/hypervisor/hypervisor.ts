import type {Duplex} from 'node:stream'

import type {BackendNode} from '../model/backend-node.ts'
import type {Check} from '../model/check.ts'
import type {SeedDocuments} from '../model/cloud-init.ts'
import type {ForwardedPort} from '../model/port.ts'
import type {Vitals} from '../model/vitals.ts'
import type {Observation, Vm, VmSpec} from '../model/vm.ts'

/** Tells the user something that is neither a result nor a failure: `no KVM here, using TCG`. */
export type Notify = (message: string) => void

export interface OperationOptions {
  readonly signal: AbortSignal
  readonly notify?: Notify
  /** What the other VMs of the host hold now, of any backend. A backend that chooses asks under a lock of its own. */
  neighbours?(): Promise<readonly Holding[]>
}

/** What a VM holds of what all VMs of the host share, also while it is at rest. */
export interface Holding {
  /** Name of the VM: one that is about to replace another (`reload`) takes over what that has. */
  readonly vm: string
  readonly macAddress: string
  /** Ports of the host that lead to the guest, that of SSH first. */
  readonly ports: readonly ForwardedPort[]
  /** Whether nothing runs, so that others may take a port that they need just so. */
  readonly isAtRest: boolean
}

/** The disk of a VM: what it has that its image has not. */
export interface VmDisk {
  /** A qcow2 file of the host, which may be there or not; absent when the disk is elsewhere. */
  readonly path?: string
  /** What it takes. */
  readonly bytes: number
  /** The file of the host with the seed, when there is one. */
  readonly seed?: string
}

/** A moment of a VM that it can be put back to. */
export interface CheckpointOptions extends OperationOptions {
  /** What it is called on disk: 12 hexadecimal digits. */
  readonly id: string
  /** A directory of this checkpoint and this VM, for what the backend keeps besides the layers of disks. */
  readonly directory: string
  /** Whether the memory of a guest that runs belongs to it. */
  readonly memory: boolean
}

/**
 * A checkpoint in the making. The phases are called in this order, each for all VMs of a stack before the next one, so that all of
 * them stand still at one instant. Disposal before `settle` has ended undoes everything, and the guest goes on.
 */
export interface Checkpoint extends AsyncDisposable {
  /** Whether there is a guest whose memory is kept. */
  readonly hasMemory: boolean
  /** What is left to do while the guest stands still takes moments. */
  ready(): Promise<void>
  /** The guest stands still. Nothing happens to a VM at rest, or to one that is suspended. */
  hold(): Promise<void>
  /** All that belongs to the checkpoint has left the guest, and what the guest writes from here on goes elsewhere. */
  seal(): Promise<void>
  /** The guest goes on, if it ran. */
  release(): Promise<void>
  /** All of it is on disk, whatever happens to this process or to the host. */
  settle(): Promise<void>
}

/** Another VM that begins where one was at a checkpoint. */
export interface ForkOptions extends CheckpointOptions {
  /** Whether its disks may rest on those of the other VM: made in a moment, and of use for as long as that one is there. */
  readonly shared: boolean
  /** The volumes of the one and where they go, absolute paths. */
  readonly volumes: readonly {readonly from: string; readonly to: string}[]
}

/** A VM on its way back to a checkpoint. `load` is called for all VMs of a stack before `release`. */
export interface Restoration {
  /** Puts the disks of the VM, which is at rest, back; with memory the guest is there again, and stands still. May be repeated. */
  load(): Promise<void>
  /** Lets the guest go on. */
  release(): Promise<void>
}

/** A guest whose memory is on disk, and of which nothing runs. */
export interface SaveOptions extends OperationOptions {
  /** A directory for what the backend keeps of it. */
  readonly directory: string
  /**
   * A file of the engine's, and the only truth. From when it is there the guest is saved: it never executes anything again but by being
   * loaded. From when it is gone the guest that was loaded goes on. That holds whoever is killed, and whenever.
   */
  readonly mark: string
}

/** A file that a disk is written to. */
export interface DiskTarget {
  /** Absolute. */
  readonly path: string
  readonly format: 'qcow2' | 'raw' | 'vmdk'
  /** Whether it is to be small rather than quick to read. */
  readonly compressed: boolean
}

/** Where a program reaches an SSH port. */
export interface SshAddress {
  readonly host: string
  readonly port: number
  /** Nobody but `dial` reaches it, and the host is only a name: `vmctl ssh --stdio` stands in between. */
  readonly isRelayed?: true
}

/** Where a layer of the disk of a VM goes. */
export interface LayerTarget {
  /** What it is called among the names of a backend: 12 hexadecimal digits. */
  readonly id: string
  /** Absolute, on the file system of the VM's directory; nothing is there yet. */
  readonly path: string
}

/**
 * A backend: it makes, runs and removes VMs, on this host or elsewhere: no process, socket or file of a VM has to be here but those of
 * its record. Extension point; every backend passes `testHypervisor` of `vmctl/testing`.
 *
 * Call order of a life: `prepare`, `seed`, `start`, (`suspend`, `resume`)*, `stop`, `start`, …, `destroy`.
 * The engine holds the VM's lock around every method that changes something; `observe`, `dial`, `sshAddress`,
 * `fetchConsole` and `console` are called without it, at any time, and must not change anything.
 */
export interface Hypervisor {
  readonly name: string
  /** What a VMFile can say to this backend alone, in a node of its name. */
  readonly node?: BackendNode
  /** Resolves to why this backend cannot run here, or to undefined when it can. */
  unavailable(): Promise<string | undefined>
  /** Checks what can be known before anything is made, and throws the error that `start` would meet. */
  check(spec: VmSpec): Promise<void>
  /**
   * Allocates what the VM needs: the disk with the content of `vm.base`, which is a verified file of this host, and addresses.
   * Idempotent: what exists is kept, a disk above all; a disk smaller than `vm.spec.diskBytes` is grown while the VM is at rest.
   */
  prepare(vm: Vm, options: OperationOptions): Promise<void>
  /** Resolves once the guest executes instructions, which is before it has booted. Does nothing when it runs. */
  start(vm: Vm, options: OperationOptions): Promise<void>
  /**
   * Asks the guest to power off, forces it after `timeoutMs` milliseconds, and resolves when it is certain that nothing runs.
   * A suspended guest is resumed first. Does nothing when nothing runs. `onForced` gets why a guest was forced off that had time
   * to power off by itself.
   */
  stop(vm: Vm, options: OperationOptions & {readonly timeoutMs: number; readonly onForced?: (why: string) => void}): Promise<void>
  /** Ends the VM at once and gives back everything outside of its directory; the engine removes the directory. Idempotent. */
  destroy(vm: Vm, options: OperationOptions): Promise<void>
  /** What can be seen now, without touching the guest, within a second. */
  observe(vm: Vm): Promise<Observation>
  /** A byte stream to a TCP port of the guest. */
  dial(vm: Vm, port: number, options: {readonly signal: AbortSignal}): Promise<Duplex>
  /** Where a program of the host reaches the guest's SSH port; undefined when the VM has no network. */
  sshAddress(vm: Vm, options: {readonly signal: AbortSignal}): Promise<SshAddress | undefined>

  /**
   * The IPv4 address that a guest has on a bridge of the host by what the host knows: leases, the neighbour table. Changes nothing and
   * asks no guest; undefined when nothing is known. Without it such addresses are not shown.
   */
  findAddress?(
    on: {readonly bridge: string; readonly macAddress: string},
    options: {readonly signal: AbortSignal},
  ): Promise<string | undefined>

  /** What a VM holds, by its directory; undefined when it holds nothing that others could want. Changes nothing. */
  holds?(directory: string): Promise<Holding | undefined>
  /** The disk of a VM by its directory, since its record may be damaged. Changes nothing. Without it nothing is known of the disk. */
  disk?(directory: string): Promise<VmDisk>
  /** Whether anything runs on that disk, whoever started it: what decides whether a VM without a record may be removed. */
  isDiskOpen?(directory: string): Promise<boolean>

  /** What the backend needs of this host, found out by trying it; for `vmctl doctor`. */
  examine?(options: {readonly signal: AbortSignal}): Promise<readonly Check[]>

  // A backend that leaves these out does not support them; the engine says so to the user.
  /**
   * What cloud-init of the guest is to read, in the form that the backend gives it to a guest. Called after `prepare`, and again when
   * the guest was reached for the first time, without what was secret then: a guest that runs sees the new documents, now and after a
   * reboot of its own, and nothing is left of those before them. May be repeated. Without it a `cloud-init` block has no effect, which the user is told.
   */
  seed?(vm: Vm, documents: SeedDocuments, options: OperationOptions): Promise<void>
  /**
   * Brings `consoleLog` in the VM's directory up to what the serial console has shown. Changes nothing else, is called without the
   * VM's lock, and does nothing where the VM is gone. A backend without it appends to that file by itself while the VM runs.
   */
  fetchConsole?(vm: Vm, options: {readonly signal: AbortSignal}): Promise<void>
  /**
   * Makes a running VM match what of `vm.spec` can change while it runs: the forwarded ports. Does nothing when nothing runs. May be
   * repeated. Without it such changes wait for the next start.
   */
  adapt?(vm: Vm, options: OperationOptions): Promise<void>
  /** What the guest has done since its start. Like `observe`; undefined when nothing runs. */
  vitals?(vm: Vm): Promise<Vitals | undefined>
  /**
   * A guest works without showing anything, for which `reason` has the evidence, and has written nothing to its disks. Where the backend
   * has chosen by itself how to run it, and has another way, the VM is started anew in that way, now and from now on.
   * @returns whether it was
   */
  startOtherwise?(vm: Vm, options: OperationOptions & {readonly reason: string}): Promise<boolean>
  /**
   * Gives `copy`, which has an empty directory, what it needs to be started beside `vm`, which is at rest: the disk, whole, so that what
   * the guest frees is gone from it, and what a guest knows its machine by. Changes nothing of `vm`. Without it, and without
   * `exportDisk`, VMs cannot be packaged.
   * @returns the copy, without what two VMs cannot have at once
   */
  clone?(vm: Vm, copy: Vm, options: OperationOptions): Promise<Vm>
  /** Writes the whole disk of a VM at rest into one file, which appears as a whole or not at all. Changes nothing of the VM. */
  exportDisk?(vm: Vm, target: DiskTarget, options: OperationOptions): Promise<void>
  suspend?(vm: Vm, options: OperationOptions): Promise<void>
  /**
   * Begins a checkpoint of a VM, in whatever state: its own disk and those of `vm.attachments` that it may write to. What cannot
   * be kept is refused here, while nothing has happened.
   */
  checkpoint?(vm: Vm, options: CheckpointOptions): Promise<Checkpoint>
  /**
   * Checks that a VM can be put back to a checkpoint, and changes nothing: it may still run. `vm` is what it was then; `memory` says
   * whether the guest is to go on where it was.
   */
  restore?(vm: Vm, options: CheckpointOptions): Promise<Restoration>
  /**
   * Gives `fork`, another VM whose directory is empty, the disks that `vm` had at a checkpoint and what else its guest finds there again,
   * but no address of the host. Changes nothing of `vm`. With memory `restore` of the fork follows, and its guest goes on where the other one was.
   * Without it VMs can be neither cloned nor tried.
   */
  fork?(vm: Vm, fork: Vm, options: ForkOptions): Promise<void>
  /** What a VM has of the host that two VMs cannot have, in words for the user; undefined when there is nothing of the kind. */
  whyNotTwice?(vm: Vm): string | undefined
  /**
   * Removes all checkpoints of the disks of a VM but those, also what a killed command has left of one, as far as that is possible now.
   * @returns ids of those that have to wait until the VM is at rest, or until others have gone
   */
  trim?(vm: Vm, options: OperationOptions & {readonly keep: readonly string[]}): Promise<readonly string[]>
  /**
   * Makes a file of what the disk of a VM shows now, whether it runs or not, to which nothing writes from then on: the VM goes on on top
   * of it, as other VMs may, whose `layer` it is when they are prepared. Without it, provision steps are not kept.
   */
  freeze?(vm: Vm, layer: LayerTarget, options: OperationOptions): Promise<void>
  resume?(vm: Vm, options: OperationOptions): Promise<void>
  /**
   * Begins to save a guest that runs or is suspended, with the phases of a checkpoint but for `release`: `settle` is followed by the mark.
   * Disposal ends what runs when the mark is there; else the guest goes on as if nothing had been. What cannot be saved is refused here.
   * The disks stay as they are: until the guest goes on nothing else may write to them.
   */
  save?(vm: Vm, options: SaveOptions): Promise<Checkpoint>
  /**
   * Checks that a guest can be loaded, and changes nothing. After `load` it is there and stands still; then the mark is removed, and
   * `release` lets it run, also one that was suspended. While the mark is there `stop` ends what was loaded, and the guest stays saved.
   */
  load?(vm: Vm, options: SaveOptions): Promise<Restoration>
  /** A byte stream to and from the serial console. One user at a time. */
  console?(vm: Vm, options: {readonly signal: AbortSignal}): Promise<Duplex>
}
