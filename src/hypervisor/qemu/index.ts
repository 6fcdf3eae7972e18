import type {QemuOptions} from './options.ts'
import type {Duplex} from 'node:stream'

import {isAlive, type ProcessIdentity} from '../../host/proc.ts'
import {connectTcp, connectUnix} from '../../host/sockets.ts'
import {VmctlError} from '../../model/errors.ts'
import {qemuFiles} from './files.ts'
import {type Observation, stateAtRest, type Vm, type VmState} from '../../model/vm.ts'
import type {Hypervisor} from '../hypervisor.ts'
import {isLocalDiskOpen, localDisk} from '../local-disk.ts'
import {findPanic} from './panic.ts'
import {findProcess} from './process.ts'
import {connectQmp, withMonitor} from './qmp.ts'
import {qemuNode} from './settings.ts'
import {holdingOf, type QemuRuntime, readRuntime} from './runtime.ts'

/** The QEMU backend. Needs Linux: it proves processes by /proc. */
export const qemuHypervisor = (options: QemuOptions): Hypervisor => {
  const {leaseFiles = []} = options
  /** What changes a VM is loaded when that is asked for: most commands only look. */
  const lifecycle = async () => (await import('./lifecycle.ts')).qemuLifecycle(options)

  return {
    name: 'qemu',
    node: qemuNode,

    async unavailable() {
      return process.platform === 'linux' ? undefined : `the QEMU backend needs Linux, this is ${process.platform}`
    },

    examine: async ({signal}) => (await import('./examine.ts')).examineQemu(options, signal),
    check: async (spec) => (await lifecycle()).check(spec),
    prepare: async (vm, given) => (await lifecycle()).prepare(vm, given),
    start: async (vm, given) => (await lifecycle()).start(vm, given),
    stop: async (vm, given) => (await lifecycle()).stop(vm, given),
    destroy: async (vm, given) => (await lifecycle()).destroy(vm, given),
    adapt: async (vm, given) => (await lifecycle()).adapt(vm, given),
    seed: async (vm, documents, given) => (await lifecycle()).seed(vm, documents, given),

    async observe(vm) {
      const [runtime, running] = await Promise.all([readRuntime(vm.directory), findProcess(vm)])
      const facts = addressesIn(runtime)
      // Nothing that a killed vmctl may have left of a saved guest executes anything.
      if (!running || vm.saved) return {state: stateAtRest(vm), ...facts}
      const [state, problems] = await Promise.all([guestState(vm, running), problemsOf(vm, running)])
      return {
        ...facts,
        ...state,
        ...problems,
        ...(runtime?.vncAddress !== undefined && {vncAddress: runtime.vncAddress}),
        ...(runtime?.accelerator !== undefined && {accelerator: runtime.accelerator}),
      }
    },

    async dial(vm, port, {signal}) {
      const address = await addressOf(vm, leaseFiles, signal)
      if (!address) throw new VmctlError('vmctl::backend::not_available', `The VM ${vm.name} has no network.`)
      if (vm.spec.network.type === 'user' && port !== 22) {
        throw new VmctlError('vmctl::backend::not_available', `Only the SSH port of ${vm.name} is forwarded; port ${port} is not.`)
      }
      return connectTcp(address.host, vm.spec.network.type === 'user' ? address.port : port, signal)
    },

    vitals: async (vm) => (await import('./vitals.ts')).vitalsOf(vm),
    startOtherwise: async (vm, given) => (await lifecycle()).startOtherwise(vm, given),
    sshAddress: (vm, {signal}) => addressOf(vm, leaseFiles, signal),

    async findAddress(on, {signal}) {
      const {discoverAddress} = await import('./discovery.ts')
      return discoverAddress({...on, leaseFiles}, signal).catch(() => {
        signal.throwIfAborted()
        return undefined
      })
    },

    holds: holdingOf,
    disk: localDisk,
    isDiskOpen: isLocalDiskOpen,
    clone: async (vm, copy, {signal}) => (await import('./disk.ts')).cloneVm(vm, copy, signal),
    exportDisk: async (vm, target, {signal}) => (await import('./disk.ts')).exportDisk(vm, target, signal),

    checkpoint: async (vm, given) => (await import('./checkpoint.ts')).qemuCheckpoint(vm, given),
    restore: async (vm, given) => (await lifecycle()).restore(vm, given),
    fork: async (vm, fork, given) => (await import('./checkpoint.ts')).qemuFork(vm, fork, given),
    whyNotTwice: ({spec: {devices: [device] = [], qemu}}) => {
      if (device) return `it has the device ${device.address} of the host, of which there is one`
      const own = qemu?.args?.find((arg) => hostThing.test(arg))
      return own === undefined ? undefined : `its qemu { args } give it something of the host: ${own}`
    },
    save: async (vm, given) => (await lifecycle()).save(vm, given),
    load: async (vm, given) => (await lifecycle()).load(vm, given),
    trim: async (vm, given) => (await lifecycle()).trim(vm, given),
    freeze: async (vm, layer, given) => (await lifecycle()).freeze(vm, layer, given),
    suspend: (vm) => withMonitor(vm, (qmp) => qmp.execute('stop')),
    resume: (vm) => withMonitor(vm, (qmp) => qmp.execute('cont')),
    console: (vm, {signal}): Promise<Duplex> => connectUnix(qemuFiles(vm.directory).consoleSocket, signal),
  }
}

/** Arguments of QEMU that open a file, a device or a port of the host. */
const hostThing =
  /^-(?:drive|blockdev|hd[a-d]|cdrom|sd|mtdblock|pflash|fsdev|virtfs|net|netdev|nic|chardev|serial|monitor|qmp|mon|vnc|spice)$|(?:^|,)(?:file|filename|path|mem-path)=/
const addressesIn = (runtime: QemuRuntime | undefined): Pick<Observation, 'macAddress' | 'sshPort' | 'ports'> => ({
  ...(runtime && {macAddress: runtime.macAddress}),
  ...(runtime?.sshPort !== undefined && {sshPort: runtime.sshPort}),
  ...(runtime?.ports && runtime.ports.length > 0 && {ports: runtime.ports}),
})

const addressOf = async (vm: Vm, leaseFiles: readonly string[], signal: AbortSignal): Promise<{host: string; port: number} | undefined> => {
  const runtime = await readRuntime(vm.directory)
  const {network} = vm.spec
  if (network.type === 'user') return runtime?.sshPort === undefined ? undefined : {host: '127.0.0.1', port: runtime.sshPort}
  if (network.type !== 'tap' || !runtime) return undefined
  if (network.ip !== undefined) return {host: network.ip, port: 22}
  const {discoverAddress} = await import('./discovery.ts')
  return {host: await discoverAddress({bridge: network.bridge, macAddress: runtime.macAddress, leaseFiles}, signal), port: 22}
}

/** Looks at virtiofsd only where a VM may have one. */
const problemsOf = async (vm: Vm, running: ProcessIdentity): Promise<Pick<Observation, 'problems'>> => {
  if (!vm.attachments?.folders.some(({driver}) => driver !== '9p')) return {}
  const {unserved} = await import('./virtiofsd.ts')
  const problems = await unserved(vm, running)
  return problems.length > 0 ? {problems} : {}
}

/** RunState of QEMU's QAPI schema to the states of the vmctl book; whatever is not named here runs. */
const states: Readonly<Record<string, VmState>> = {
  paused: 'suspended',
  suspended: 'suspended',
  prelaunch: 'suspended',
  inmigrate: 'suspended',
  // The default reaction of QEMU to a write for which the host has no room (qemu(1), "werror=enospc").
  'io-error': 'suspended',
}

const crashes: Readonly<Record<string, string>> = {
  'internal-error': 'QEMU met an error of its own and stopped the guest',
  'guest-panicked': 'the guest has panicked',
  watchdog: 'the watchdog of the guest has fired',
}

const guestState = async (vm: Vm, running: ProcessIdentity): Promise<Pick<Observation, 'state' | 'pid' | 'crash' | 'pause'>> => {
  try {
    using qmp = await connectQmp(qemuFiles(vm.directory).monitorSocket, {timeoutMs: 500})
    const status = await qmp.execute('query-status', undefined, 500)
    const name = typeof status === 'object' && status !== null && 'status' in status ? String(status.status) : ''
    const state = states[name] ?? 'running'
    const crash = crashes[name]
    if (crash !== undefined) return {state: 'failed', pid: running.pid, crash}
    if (name === 'io-error') return {state, pid: running.pid, pause: noRoom(vm)}
    const panic = state === 'running' ? await findPanic(qemuFiles(vm.directory).consoleLog) : undefined
    return panic === undefined
      ? {state, pid: running.pid}
      : {state: 'failed', pid: running.pid, crash: `the guest's kernel panicked (${panic})`}
  } catch {
    // Another vmctl talks to it just now (it stops the VM, say), or it has just ended.
    return (await isAlive(running)) ? {state: 'running', pid: running.pid} : {state: stateAtRest(vm)}
  }
}

const noRoom = (vm: Vm): string =>
  `the host has no room left for the disk of ${vm.name} in ${vm.directory}; free some, then run \`vmctl resume ${vm.name}\``
