import {access, chmod, copyFile} from 'node:fs/promises'
import type {Duplex} from 'node:stream'

import {remove, rename} from '../../host/durable.ts'
import {makePrivateDirectory, temporaryPath} from '../../host/files.ts'
import {checkBridge} from '../../host/net-admin.ts'
import {isAlive, type ProcessIdentity} from '../../host/proc.ts'
import {createOverlay, growImage, imageInfo} from '../../host/qemu-img.ts'
import {connectTcp, connectUnix} from '../../host/sockets.ts'
import {VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import type {ForwardedPort} from '../../model/stack.ts'
import {type Observation, stateAtRest, type Vm, type VmSpec, type VmState} from '../../model/vm.ts'
import type {ConsoleEndpoint, Hypervisor} from '../hypervisor.ts'
import {chooseAccelerator} from './accelerator.ts'
import {machineType} from './arguments.ts'
import {discoverAddress} from './discovery.ts'
import {findFirmware} from './firmware.ts'
import {changeForwards, forwardRule, forwardsOf, runningForwards} from './forwards.ts'
import {checkDevices} from './pci.ts'
import {launch} from './launch.ts'
import {endProcess, findAnyProcess, findProcess} from './process.ts'
import {connectQmp} from './qmp.ts'
import {reserve} from './reservation.ts'
import {readRuntime, writeRuntime} from './runtime.ts'
import {changeSeed} from './seed-drive.ts'
import {powerDown} from './stop.ts'
import {createTap, removeTap, tapsOf} from './tap.ts'
import {nicSockets} from './network.ts'
import {endServing, requireVirtiofsd, serveFolders} from './virtiofsd.ts'

export interface QemuOptions {
  /** Where the verdicts on accelerators and the lock of the addresses are kept. */
  readonly stateDirectory: string
  /** Accelerators to try, before what a VMFile says (VMCTL_ACCEL). */
  readonly accelerators?: readonly string[] | undefined
  /** Lease files of DHCP servers on this computer, besides the usual ones (VMCTL_LEASES). */
  readonly leaseFiles?: readonly string[] | undefined
}

export const defaultBinary = 'qemu-system-x86_64'

/** The QEMU backend. Needs Linux: it proves processes by /proc. */
export const qemuHypervisor = ({stateDirectory, accelerators, leaseFiles = []}: QemuOptions): Hypervisor => {
  const acceleratorFor = (spec: VmSpec, signal: AbortSignal) =>
    chooseAccelerator(spec.qemu?.binary ?? defaultBinary, accelerators ?? spec.qemu?.accel, {stateDirectory, signal})

  /** Removes what a process that is certainly gone has left. */
  const tidy = async (vm: Vm): Promise<void> => {
    const files = vmFiles(vm.directory)
    const runtime = await readRuntime(vm.directory)
    for (const path of [files.qmpSocket, files.monitorSocket, files.consoleSocket, files.pidfile]) await remove(path)
    for (const path of nicSockets(vm)) await remove(path)
    for (const tap of runtime?.taps ?? []) await removeTap(tap)
    await endServing(vm)
    if (runtime?.process) {
      const {process: _process, vncAddress: _vnc, accelerator: _accelerator, ...rest} = runtime
      await writeRuntime(vm.directory, rest)
    }
  }

  const withMonitor = async (vm: Vm, action: (qmp: Awaited<ReturnType<typeof connectQmp>>) => Promise<unknown>): Promise<void> => {
    using qmp = await connectQmp(vmFiles(vm.directory).monitorSocket, {timeoutMs: 10_000})
    await action(qmp)
  }

  return {
    name: 'qemu',

    async unavailable() {
      return process.platform === 'linux' ? undefined : `the QEMU backend needs Linux, this is ${process.platform}`
    },

    async check(spec) {
      if (spec.network.type === 'vnic') {
        throw new VmctlError(
          'vmctl::backend::not_available',
          'The vnic network exists on illumos only; the QEMU backend cannot offer it.',
          {
            help: 'Use `network "user"` or `network "tap"`.',
          },
        )
      }
      if (spec.shares?.some(({driver}) => driver === 'virtiofs')) await requireVirtiofsd()
      if (spec.network.type === 'tap') await checkBridge(spec.network.bridge)
      await checkDevices(spec)
      if (spec.firmware?.type === 'uefi') await findFirmware(spec.firmware, machineType(spec.qemu?.machine))
      await makePrivateDirectory(stateDirectory)
      await acceleratorFor(spec, AbortSignal.timeout(30_000))
    },

    async prepare(vm, {signal}) {
      const files = vmFiles(vm.directory)
      const {diskBytes} = vm.spec
      if (!(await exists(files.overlay))) {
        await createOverlay(vm.base, files.overlay, {...(diskBytes !== undefined && {sizeBytes: diskBytes}), signal})
      } else if (diskBytes !== undefined && !(await findProcess(vm))) {
        const {virtualSizeBytes} = await imageInfo(files.overlay, {signal, format: 'qcow2'})
        if (diskBytes > virtualSizeBytes) await growImage(files.overlay, diskBytes, {signal})
      }
      if (vm.spec.firmware?.type === 'uefi' && !(await exists(files.efivars))) {
        const firmware = await findFirmware(vm.spec.firmware, machineType(vm.spec.qemu?.machine))
        await copyPrivately(firmware.vars, files.efivars)
      }
      if (!(await findProcess(vm))) await reserve(vm, {stateDirectory, signal})
    },

    async start(vm, {signal, notify}) {
      if (await findAnyProcess(vm)) return
      await tidy(vm)
      await checkDevices(vm.spec)
      const binary = vm.spec.qemu?.binary ?? defaultBinary
      const choice = await acceleratorFor(vm.spec, signal)
      if (choice.notice) notify?.(choice.notice)
      const {firmware: config} = vm.spec
      const firmware = config?.type === 'uefi' ? await findFirmware(config, machineType(vm.spec.qemu?.machine)) : undefined
      const seed = await exists(vmFiles(vm.directory).seed)
      let runtime = await reserve(vm, {stateDirectory, signal, isBinding: true})
      try {
        for (const tap of tapsOf(vm)) await createTap(tap, signal)
        const avoid: ForwardedPort[] = []
        for (;;) {
          const sockets = await serveFolders(vm, {signal, notify})
          const result = await launch(vm, binary, {...runtime, accelerator: choice.accelerator, firmware, seed, sockets}, signal)
          if (!('taken' in result)) {
            await writeRuntime(vm.directory, {...runtime, ...result, accelerator: choice.accelerator})
            return
          }
          // Another program took a port between our look and QEMU's bind. One that was chosen is chosen anew.
          const port = forwardsOf(runtime).find((forward) => forwardRule(forward).startsWith(`${result.taken}-`))
          if (!port || avoid.push(port) === 5) throw result.error
          await endServing(vm)
          runtime = await reserve(vm, {stateDirectory, signal, isBinding: true, avoid})
        }
      } catch (error) {
        await tidy(vm)
        throw error
      }
    },

    async stop(vm, {timeoutMs, signal}) {
      const running = await findAnyProcess(vm)
      if (running) await powerDown(vm, running, {timeoutMs, signal})
      await tidy(vm)
    },

    async destroy(vm) {
      const running = await findAnyProcess(vm)
      if (running) await endProcess(running)
      await tidy(vm)
    },

    async observe(vm) {
      const [runtime, running] = await Promise.all([readRuntime(vm.directory), findProcess(vm)])
      const facts = {
        ...(runtime && {macAddress: runtime.macAddress}),
        ...(runtime?.sshPort !== undefined && {sshPort: runtime.sshPort}),
        ...(runtime?.ports && runtime.ports.length > 0 && {ports: runtime.ports}),
      }
      if (!running) return {state: stateAtRest(vm), ...facts}
      const state = await guestState(vm, running)
      return {
        ...facts,
        ...state,
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

    sshAddress: (vm, {signal}) => addressOf(vm, leaseFiles, signal),

    async adapt(vm, {signal}) {
      const runtime = await readRuntime(vm.directory)
      if (!runtime || vm.spec.network.type !== 'user' || !(await findProcess(vm))) return
      await withMonitor(vm, async (qmp) => {
        const own = await runningForwards(qmp)
        const next = await reserve(vm, {stateDirectory, signal, isBinding: true, own})
        await changeForwards(qmp, forwardsOf(next)).catch(async (error: unknown) => {
          await changeForwards(qmp, own).catch(() => undefined)
          await writeRuntime(vm.directory, runtime)
          throw error
        })
      })
    },

    async showSeed(vm) {
      if (await findProcess(vm)) await withMonitor(vm, (qmp) => changeSeed(qmp, vmFiles(vm.directory).seed))
    },

    suspend: (vm) => withMonitor(vm, (qmp) => qmp.execute('stop')),
    resume: (vm) => withMonitor(vm, (qmp) => qmp.execute('cont')),
    console: (vm, {signal}): Promise<Duplex> => connectUnix(vmFiles(vm.directory).consoleSocket, signal),
    consoleEndpoint: (vm): ConsoleEndpoint => ({type: 'unix-socket', path: vmFiles(vm.directory).consoleSocket}),
  }
}

const addressOf = async (vm: Vm, leaseFiles: readonly string[], signal: AbortSignal): Promise<{host: string; port: number} | undefined> => {
  const runtime = await readRuntime(vm.directory)
  const {network} = vm.spec
  if (network.type === 'user') return runtime?.sshPort === undefined ? undefined : {host: '127.0.0.1', port: runtime.sshPort}
  if (network.type !== 'tap' || !runtime) return undefined
  if (network.ip !== undefined) return {host: network.ip, port: 22}
  return {host: await discoverAddress({bridge: network.bridge, macAddress: runtime.macAddress, leaseFiles}, signal), port: 22}
}

/** RunState of QEMU's QAPI schema to the states of the vmctl book; whatever is not named here runs. */
const states: Readonly<Record<string, VmState>> = {
  paused: 'suspended',
  suspended: 'suspended',
  prelaunch: 'suspended',
  'internal-error': 'failed',
  'io-error': 'failed',
  'guest-panicked': 'failed',
  watchdog: 'failed',
}

const guestState = async (vm: Vm, running: ProcessIdentity): Promise<Pick<Observation, 'state' | 'pid'>> => {
  try {
    using qmp = await connectQmp(vmFiles(vm.directory).monitorSocket, {timeoutMs: 500})
    const status = await qmp.execute('query-status', undefined, 500)
    const name = typeof status === 'object' && status !== null && 'status' in status ? String(status.status) : ''
    return {state: states[name] ?? 'running', pid: running.pid}
  } catch {
    // Another vmctl talks to it just now (it stops the VM, say), or it has just ended.
    return (await isAlive(running)) ? {state: 'running', pid: running.pid} : {state: stateAtRest(vm)}
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

const copyPrivately = async (source: string, target: string): Promise<void> => {
  const temporary = temporaryPath(target)
  try {
    await copyFile(source, temporary)
    await chmod(temporary, 0o600)
    await rename(temporary, target)
  } finally {
    await remove(temporary)
  }
}
