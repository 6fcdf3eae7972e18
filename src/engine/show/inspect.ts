import {isVmctlError, messageOf} from '../../model/errors.ts'
import {canLogIn} from '../../model/login.ts'
import type {Health, HealthStatus} from '../../model/health.ts'
import type {ForwardedPort} from '../../model/port.ts'
import type {Saved} from '../../model/saveable.ts'
import type {Share} from '../../model/storage.ts'
import type {Attachments, BaseImage, NetworkConfig, Vm, VmSpec, VmState} from '../../model/vm.ts'
import {type JournalEntry, peekJournal} from '../../provision/run/journal.ts'
import {listVmNames, readVm, requireVm} from '../../store/store.ts'
import {volumeSerial} from '../../volume/volume.ts'
import {type Engine, observe} from '../engine.ts'
import {readHealth} from '../reach/health-record.ts'
import {interfacesOf, type VmInterface} from '../resources/interfaces.ts'

/** One VM in `vmctl list`; the `--json` shape of an element. */
export interface VmSummary {
  readonly name: string
  readonly backend: string
  /** The home that it lives in; absent on this host. */
  readonly home?: string
  readonly state: VmState | 'unknown'
  readonly vcpus?: number
  readonly memoryMiB?: number
  readonly network?: NetworkConfig['type']
  /** Why the guest is paused although nobody has suspended it. */
  readonly pause?: string
  /** Since when the guest is saved, and what its memory takes on disk. */
  readonly saved?: Saved
  readonly pid?: number
  readonly sshPort?: number
  /** What was last seen of the health of a running VM that has a health check. */
  readonly health?: HealthStatus
  /** What else of the host leads to the guest. */
  readonly ports?: readonly ForwardedPort[]
  /** Why the VM cannot be told about, when its record is damaged. */
  readonly error?: string
}

/** One VM in full; the `--json` shape of `vmctl status`. Fields that do not apply are absent. */
export interface VmStatus extends VmSummary {
  readonly id: string
  readonly state: VmState
  readonly network: NetworkConfig['type']
  readonly bridge?: string
  /** All of them, those on declared networks first. */
  readonly interfaces: readonly VmInterface[]
  readonly volumes: readonly MountedVolume[]
  readonly shares: readonly MountedShare[]
  readonly diskBytes: number
  readonly workDirectory: string
  /** The file with what the VM has that its image has not; absent when its backend keeps that elsewhere. */
  readonly overlay?: string
  readonly seed?: string
  readonly vncAddress?: string
  readonly macAddress?: string
  readonly accelerator?: string
  /** Of a cluster, the member that it is on now. */
  readonly member?: string
  readonly image: string
  readonly vmfile?: string
  readonly createdAt: string
  /** What has crashed, when the guest has. */
  readonly crash?: string
  readonly failure?: Vm['failure']
  /** What a VM that runs has lost meanwhile, and how it comes back. */
  readonly problems?: readonly string[]
  readonly provision: readonly StepStatus[]
  /** The last result of the health check; absent before the first one after a start. */
  readonly healthcheck?: {readonly checkedAt: string; readonly failures: number; readonly exitCode?: number; readonly output: string}
}

/** A volume of a VM, as of its last start. */
export interface MountedVolume {
  /** `shop.pgdata`. */
  readonly volume: string
  /** In the guest; absent for a volume without a file system. */
  readonly target?: string
  readonly readOnly: boolean
  /** How the guest finds the disk. */
  readonly device: string
}

/** A folder or file of the host in the guest, as of its last start. */
export type MountedShare = Pick<Share, 'source' | 'target' | 'readOnly'>

/** What is known of one provision step. */
export interface StepStatus extends Pick<
  JournalEntry,
  'title' | 'state' | 'startedAt' | 'endedAt' | 'durationMs' | 'exitCode' | 'bootId' | 'user'
> {
  readonly step: number
}

/** All VMs, sorted by name. Needs no lock, touches no guest, and one broken VM does not hide the others. */
export const list = async (engine: Engine): Promise<VmSummary[]> => {
  const names = await listVmNames(engine.store)
  const summaries = await Promise.all(names.map((name) => summarise(engine, name)))
  return summaries.filter((summary) => summary !== undefined)
}

const summarise = async (engine: Engine, name: string): Promise<VmSummary | undefined> => {
  try {
    const vm = await readVm(engine.store, name)
    if (!vm) return undefined
    const {state, pause, pid, sshPort, ports} = await observe(engine, vm)
    const health = await knownHealth(vm, state)
    return {
      name,
      backend: vm.backend,
      ...(vm.spec.home && {home: vm.spec.home.name}),
      state,
      vcpus: vm.spec.vcpus,
      memoryMiB: vm.spec.memoryMiB,
      network: vm.spec.network.type,
      ...(pause !== undefined && {pause}),
      ...(vm.saved && {saved: vm.saved}),
      ...(pid !== undefined && {pid}),
      ...(sshPort !== undefined && {sshPort}),
      ...(health && {health: health.status}),
      ...(ports && {ports}),
    }
  } catch (error) {
    return {name, backend: '-', state: 'unknown', error: isVmctlError(error) ? `${error.message} ${error.help}` : messageOf(error)}
  }
}

/** Of a running VM with a health check; nothing is asked of the guest. */
const knownHealth = async (vm: Vm, state: VmState): Promise<{readonly status: HealthStatus; readonly record?: Health} | undefined> => {
  if (state !== 'running' || !vm.spec.healthcheck) return undefined
  const record = await readHealth(vm)
  return record ? {status: record.status, record} : {status: 'starting'}
}

const describeRecord = ({checkedAt, failures, last}: Health): NonNullable<VmStatus['healthcheck']> => ({
  checkedAt,
  failures,
  ...(last.exitCode !== undefined && {exitCode: last.exitCode}),
  output: last.output,
})

const mountsOf = ({volumes = [], shares = []}: VmSpec): Pick<VmStatus, 'volumes' | 'shares'> => ({
  volumes: volumes.map(({volume: {id}, target, readOnly}) => ({
    volume: id,
    ...(target !== undefined && {target}),
    readOnly,
    device: `/dev/disk/by-id/virtio-${volumeSerial(id)}`,
  })),
  shares: shares.map(({source, target, readOnly}) => ({source, target, readOnly})),
})

/** Of a VM that may have a disk here, and a seed. */
const filesOf = async (engine: Engine, {backend, directory}: Vm): Promise<Pick<VmStatus, 'overlay' | 'seed'>> => {
  const disk = await engine.hypervisors.get(backend)?.disk?.(directory)
  return {...(disk?.path !== undefined && {overlay: disk.path}), ...(disk?.seed !== undefined && {seed: disk.seed})}
}

export const status = async (engine: Engine, name: string): Promise<VmStatus> => {
  const vm = await requireVm(engine.store, name)
  // Only here: `list` needs none of what networks need.
  const {problemsOf} = await import('../resources/carriers.ts')
  const [observation, journal, files] = await Promise.all([observe(engine, vm), peekJournal(vm.directory), filesOf(engine, vm)])
  const {network} = vm.spec
  const [health, problems, interfaces] = await Promise.all([
    knownHealth(vm, observation.state),
    problemsOf(engine, vm, observation),
    interfacesOf(engine, vm, observation),
  ])
  return {
    name,
    id: vm.id,
    backend: vm.backend,
    ...(vm.spec.home && {home: vm.spec.home.name}),
    ...observation,
    ...(problems.length > 0 && {problems}),
    ...(vm.saved && {saved: vm.saved}),
    vcpus: vm.spec.vcpus,
    memoryMiB: vm.spec.memoryMiB,
    diskBytes: Math.max(vm.spec.diskBytes ?? 0, vm.base.virtualSizeBytes),
    network: network.type,
    ...(network.type === 'tap' && {bridge: network.bridge}),
    interfaces,
    ...mountsOf(vm.spec),
    workDirectory: vm.directory,
    ...files,
    image: vm.base.path,
    ...(vm.vmfile !== undefined && {vmfile: vm.vmfile}),
    createdAt: vm.createdAt,
    ...(health && {health: health.status}),
    ...(health?.record && {healthcheck: describeRecord(health.record)}),
    ...(vm.failure && {failure: vm.failure}),
    provision: journal.steps.map(
      ({hash: _hash, type: _type, facts: _facts, cause: _cause, message: _message, memory: _memory, ...known}, index) => ({
        step: index + 1,
        ...known,
      }),
    ),
  }
}

/** Who can log in to a VM; undefined when vmctl knows nobody. */
export const loginUser = async (engine: Engine, name: string): Promise<string | undefined> => {
  const [vm, {sshUser}] = await Promise.all([requireVm(engine.store, name), import('../reach/identity.ts')])
  return canLogIn(vm.spec) ? sshUser(vm) : undefined
}

/** Everything that is known of a VM; the `--json` shape of an element of `vmctl inspect`. */
export interface Inspection {
  readonly status: VmStatus
  /** As last applied. */
  readonly spec: VmSpec
  readonly attachments: Attachments
  readonly base: BaseImage
}

/** All of a VM that is on record, and what is seen now. */
export const inspect = async (engine: Engine, name: string): Promise<Inspection> => {
  const [vm, known] = await Promise.all([requireVm(engine.store, name), status(engine, name)])
  const {spec, base, attachments = {nics: [], disks: [], folders: []}} = vm
  return {status: known, spec, attachments, base}
}
