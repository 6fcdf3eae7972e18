import {finishLayer} from '../../host/disk-layers.ts'
import {remove} from '../../host/durable.ts'
import {makePrivateDirectory, pathExists} from '../../host/files.ts'
import {checkBridge} from '../../host/net-admin.ts'
import {createOverlay, growImage, imageInfo} from '../../host/qemu-img.ts'
import {VmctlError} from '../../model/errors.ts'
import {qemuFiles} from './files.ts'
import type {ForwardedPort} from '../../model/port.ts'
import type {Vm, VmSpec} from '../../model/vm.ts'
import type {Hypervisor, OperationOptions} from '../hypervisor.ts'
import {trimDisks} from '../local-checkpoint.ts'
import {writableDisks} from '../local-disk.ts'
import {bottomOf} from '../local-layer.ts'
import {writeLocalSeed} from '../local-seed.ts'
import {chooseAccelerator, defaultAccelerators, defaultBinary, overrule} from './accelerator.ts'
import {machineType, qemuArguments} from './arguments.ts'
import {recoverTops, runningDisks} from './block-nodes.ts'
import {requireCpuLevel} from './cpu-level.ts'
import {copyPrivately, followBase} from './disk.ts'
import {findFirmware} from './firmware.ts'
import {changeForwards, checkForwards, forwardRule, forwardsOf, runningForwards} from './forwards.ts'
import {letGo} from './guard.ts'
import {launch} from './launch.ts'
import {nicSockets} from './network.ts'
import type {QemuOptions} from './options.ts'
import {findPanic} from './panic.ts'
import {checkDevices} from './pci.ts'
import {endProcess, findAnyProcess, findProcess} from './process.ts'
import {withMonitor} from './qmp.ts'
import {reserve} from './reservation.ts'
import {qemuRestore, type Starting} from './restore.ts'
import {readRuntime, writeRuntime} from './runtime.ts'
import {qemuLoad, qemuSave} from './saved.ts'
import {changeSeed} from './seed-drive.ts'
import {powerDown} from './stop.ts'
import {createTap, removeTap, tapsOf} from './tap.ts'
import {endServing, requireVirtiofsd, serveFolders} from './virtiofsd.ts'

type Lifecycle = Required<
  Pick<
    Hypervisor,
    | 'check'
    | 'prepare'
    | 'start'
    | 'startOtherwise'
    | 'stop'
    | 'destroy'
    | 'adapt'
    | 'seed'
    | 'restore'
    | 'save'
    | 'load'
    | 'trim'
    | 'freeze'
  >
>

/** What changes a VM, and is loaded when that is asked for: most commands only look. */
export const qemuLifecycle = ({stateDirectory, accelerators, binary: program = defaultBinary, firmware: pair}: QemuOptions): Lifecycle => {
  const firmwareFor = ({firmware, qemu}: VmSpec) =>
    firmware?.type === 'uefi' ? findFirmware({...pair, ...firmware}, machineType(qemu?.machine)) : undefined
  const wanted = (spec: VmSpec): readonly string[] => accelerators ?? spec.qemu?.accel ?? defaultAccelerators
  const acceleratorFor = (spec: VmSpec, signal?: AbortSignal) =>
    chooseAccelerator(spec.qemu?.binary ?? program, wanted(spec), {stateDirectory, signal})

  /** Removes what a process that is certainly gone has left. */
  const tidy = async (vm: Vm): Promise<void> => {
    const files = qemuFiles(vm.directory)
    const runtime = await readRuntime(vm.directory)
    // What the guest has written since is in the next top, if it was in use.
    for (const disk of await writableDisks(vm)) await finishLayer(disk)
    for (const path of [files.held, files.memorySocket, files.qmpSocket, files.monitorSocket, files.consoleSocket, files.pidfile])
      await remove(path)
    for (const path of nicSockets(vm)) await remove(path)
    for (const tap of runtime?.taps ?? []) await removeTap(tap)
    await endServing(vm)
    if (runtime?.process) {
      const {process: _process, vncAddress: _vnc, accelerator: _accelerator, consoleFrom: _from, ...rest} = runtime
      await writeRuntime(vm.directory, rest)
    }
  }

  const startWith = async (
    vm: Vm,
    {signal, notify, neighbours}: OperationOptions,
    {incoming = false}: {readonly incoming?: boolean},
  ): Promise<void> => {
    if (await findAnyProcess(vm)) return
    await tidy(vm)
    const isWhole = await pathExists(qemuFiles(vm.directory).wholeDisk)
    if (!isWhole) await followBase(vm, signal)
    await checkDevices(vm.spec)
    const binary = vm.spec.qemu?.binary ?? program
    const choice = await acceleratorFor(vm.spec, signal)
    if (choice.notice) notify?.(choice.notice)
    const firmware = await firmwareFor(vm.spec)
    const seed = await pathExists(qemuFiles(vm.directory).seed)
    let runtime = await reserve(vm, {stateDirectory, signal, neighbours, isBinding: true})
    try {
      for (const tap of tapsOf(vm)) await createTap(tap, signal)
      const avoid: ForwardedPort[] = []
      for (;;) {
        const sockets = await serveFolders(vm, {signal, notify})
        const result = await launch(
          vm,
          binary,
          {...runtime, accelerator: choice.accelerator, firmware, seed, sockets, isWhole, incoming},
          signal,
        )
        if (!('taken' in result)) {
          await writeRuntime(vm.directory, {...runtime, ...result, accelerator: choice.accelerator})
          return
        }
        // Another program took a port between our look and QEMU's bind. One that was chosen is chosen anew.
        const port = forwardsOf(runtime).find((forward) => forwardRule(forward).startsWith(`${result.taken}-`))
        if (!port || avoid.push(port) === 5) throw result.error
        await endServing(vm)
        runtime = await reserve(vm, {stateDirectory, signal, neighbours, isBinding: true, avoid})
      }
    } catch (error) {
      await tidy(vm)
      throw error
    }
  }

  const startingOf = (options: OperationOptions): Starting => ({
    async command({spec, ...rest}, {seed}) {
      const [runtime, {accelerator}, firmware] = await Promise.all([readRuntime(rest.directory), acceleratorFor(spec), firmwareFor(spec)])
      const facts = {...runtime, macAddress: runtime?.macAddress ?? '', accelerator, firmware, seed}
      return {binary: spec.qemu?.binary ?? program, arguments: qemuArguments({...rest, spec}, facts)}
    },
    startEmpty: (one, given) => startWith(one, given, {incoming: true}),
    end: (one) => lifecycle.destroy(one, options),
  })

  const lifecycle: Lifecycle = {
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
      await firmwareFor(spec)
      const binary = spec.qemu?.binary ?? program
      requireArchitecture(binary)
      await checkForwards(binary, spec.ports ?? [])
      await makePrivateDirectory(stateDirectory)
      const {accelerator} = await acceleratorFor(spec)
      await requireCpuLevel(spec, {binary, accelerator})
    },

    async prepare(vm, {signal, neighbours}) {
      const files = qemuFiles(vm.directory)
      const {diskBytes} = vm.spec
      if (!(await pathExists(files.overlay))) {
        const size = diskBytes === undefined ? {} : {sizeBytes: diskBytes}
        await createOverlay(bottomOf(vm), files.overlay, {...size, program: vm.spec.qemu?.binary ?? program, signal})
      } else if (diskBytes !== undefined && !(await findProcess(vm))) {
        await followBase(vm, signal)
        const {virtualSizeBytes} = await imageInfo(files.overlay, {signal, format: 'qcow2'})
        if (diskBytes > virtualSizeBytes) await growImage(files.overlay, diskBytes, {signal})
      }
      if (vm.spec.firmware?.type === 'uefi' && !(await pathExists(files.efivars))) {
        const firmware = await firmwareFor(vm.spec)
        if (firmware) await copyPrivately(firmware.vars, files.efivars)
      }
      if (!(await findProcess(vm))) await reserve(vm, {stateDirectory, signal, neighbours})
    },

    start: (vm, options) => startWith(vm, options, {}),

    async startOtherwise(vm, {reason, ...options}) {
      const [running, runtime] = await Promise.all([findProcess(vm), readRuntime(vm.directory)])
      const accelerator = runtime?.accelerator
      if (!running || accelerator === undefined || wanted(vm.spec).at(-1) === accelerator) return false
      const binary = vm.spec.qemu?.binary ?? program
      await overrule(binary, accelerator, {
        reason: `a guest did not begin to boot under it: ${reason}`,
        stateDirectory,
        signal: options.signal,
      })
      await endProcess(running)
      await lifecycle.start(vm, options)
      return true
    },

    async stop(vm, {timeoutMs, signal, onForced}) {
      const running = await findAnyProcess(vm)
      // A kernel that hangs sees no power button.
      const hangs = (await findPanic(qemuFiles(vm.directory).consoleLog)) !== undefined
      // What a killed vmctl has left of a saved guest must not execute anything.
      const isOver = hangs || vm.saved !== undefined
      const why = running && (await powerDown(vm, running, {timeoutMs: isOver ? 0 : timeoutMs, signal}))
      const forced = running && hangs && !vm.saved ? 'its kernel had panicked' : why
      if (forced !== undefined) onForced?.(forced)
      await tidy(vm)
    },

    async destroy(vm) {
      const running = await findAnyProcess(vm)
      if (running) await endProcess(running)
      await tidy(vm)
    },

    async adapt(vm, {signal, neighbours}) {
      const runtime = await readRuntime(vm.directory)
      if (!runtime || vm.spec.network.type !== 'user' || !(await findProcess(vm))) return
      await withMonitor(vm, async (qmp) => {
        const own = await runningForwards(qmp)
        const next = await reserve(vm, {stateDirectory, signal, neighbours, isBinding: true, own})
        await changeForwards(qmp, forwardsOf(next)).catch(async (error: unknown) => {
          await changeForwards(qmp, own).catch(() => undefined)
          await writeRuntime(vm.directory, runtime)
          throw error
        })
      })
    },

    restore: (vm, options) => qemuRestore(vm, options, startingOf(options)),

    save: (vm, options) => qemuSave(vm, options, startingOf(options)),

    load: (vm, options) => qemuLoad(vm, options, startingOf(options)),

    freeze: async (vm, layer, {signal}) =>
      (await import('./freeze.ts')).freeze(vm, layer, {signal, program: vm.spec.qemu?.binary ?? program}),

    async trim(vm, {keep, signal}) {
      let running = await findProcess(vm)
      if (running) {
        await letGo(vm.directory)
        running = await findProcess(vm)
      }
      if (running) {
        await withMonitor(vm, (qmp) => recoverTops(qmp, runningDisks(vm)))
      }
      return trimDisks(vm, {keep, isAtRest: running === undefined, signal})
    },

    seed: (vm, documents) =>
      writeLocalSeed(vm, documents, async () => {
        if (await findProcess(vm)) await withMonitor(vm, (qmp) => changeSeed(qmp, qemuFiles(vm.directory).seed))
      }),
  }
  return lifecycle
}

/** The command line is that of an x86 PC; another architecture has other machines and devices. */
const requireArchitecture = (binary: string): void => {
  const architecture = /(?:^|\/)qemu-system-(\w+)$/.exec(binary)?.[1]
  if (architecture === undefined || architecture === 'x86_64') return
  throw new VmctlError('vmctl::backend::not_available', `vmctl cannot run guests of the architecture ${architecture} yet: ${binary}.`, {
    help: 'Use an image for x86-64 (amd64), and leave `qemu { binary }` out or name a qemu-system-x86_64.',
  })
}
