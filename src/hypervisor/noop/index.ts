import {join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {pathExists, readIfExists, readOwnIfExists, writeFileAtomic} from '../../host/files.ts'
import {convertImage, createOverlay} from '../../host/qemu-img.ts'
import {connectTcp} from '../../host/sockets.ts'
import {VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {whyUnsaveable} from '../../model/saveable.ts'
import {noopBackend, stateAtRest, type Vm} from '../../model/vm.ts'
import type {CheckpointOptions, Hypervisor} from '../hypervisor.ts'
import {forkDisks, freezeDisks, requireDisks, revertDisks, trimDisks} from '../local-checkpoint.ts'
import {isLocalDiskOpen, localDisk, overlayIn} from '../local-disk.ts'
import {bottomOf, freezeDisk} from '../local-layer.ts'
import {writeLocalSeed} from '../local-seed.ts'

export interface NoopOptions {
  /** A real SSH server that stands in for the guest of every VM; without one there is no guest to talk to. */
  readonly guest?: {readonly host: string; readonly port: number}
}

const stateFile = (vm: Vm): string => join(vm.directory, 'noop.json')

const readState = async (vm: Vm): Promise<'running' | 'suspended' | undefined> => {
  const text = readOwnIfExists(stateFile(vm))
  if (text === undefined) return undefined
  return text.includes('suspended') ? 'suspended' : 'running'
}

const writeState = (vm: Vm, state: 'running' | 'suspended'): Promise<void> => writeFileAtomic(stateFile(vm), `${JSON.stringify({state})}\n`)

/** What stands for the memory of a guest. */
const keptState = ({directory}: Pick<CheckpointOptions, 'directory'>): string => join(directory, 'noop-state')

/** The backend that runs nothing: every operation succeeds at once. For tests of everything above it. */
export const noopHypervisor = (options: NoopOptions = {}): Hypervisor => ({
  name: noopBackend,
  unavailable: async () => undefined,
  check: async (spec) => {
    if (spec.network.type === 'vnic') {
      throw new VmctlError('vmctl::backend::not_available', 'The vnic network exists on illumos only.')
    }
  },
  prepare: async (vm, {signal}) => {
    signal.throwIfAborted()
    // What stands on a layer keeps it, also where nothing runs.
    if (vm.layer && !(await pathExists(overlayIn(vm.directory)))) await createOverlay(bottomOf(vm), overlayIn(vm.directory), {signal})
  },
  start: async (vm, {signal}) => {
    signal.throwIfAborted()
    if ((await readState(vm)) === undefined) await writeState(vm, 'running')
  },
  stop: async (vm) => {
    await remove(stateFile(vm))
  },
  destroy: async (vm) => {
    await remove(stateFile(vm))
  },
  observe: async (vm) => {
    const state = await readState(vm)
    return {state: vm.saved ? 'saved' : (state ?? stateAtRest(vm)), ...(options.guest && {sshPort: options.guest.port})}
  },
  dial: async (vm, _port, {signal}) => {
    if (!options.guest) throw noGuest(vm.name)
    return connectTcp(options.guest.host, options.guest.port, signal)
  },
  sshAddress: async () => options.guest,
  disk: localDisk,
  isDiskOpen: isLocalDiskOpen,
  clone: async (_vm, copy) => copy,
  exportDisk: ({base}, target, {signal}) => convertImage(base, target, {compressed: target.compressed, signal}),
  seed: (vm, documents) => writeLocalSeed(vm, documents),
  checkpoint: async (vm, given) => {
    const state = vm.saved ? await readIfExists(keptState({directory: vmFiles(vm.directory).savedMemory})) : await readState(vm)
    const hasMemory = given.memory && state !== undefined
    return {
      hasMemory,
      ready: async () => undefined,
      hold: async () => undefined,
      async seal() {
        if (hasMemory) await writeFileAtomic(keptState(given), state)
        await freezeDisks(vm, given)
      },
      release: async () => undefined,
      settle: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    }
  },
  restore: async (vm, given) => {
    await requireDisks(vm, given)
    const kept = given.memory ? await readIfExists(keptState(given)) : undefined
    if (given.memory && kept === undefined) {
      throw new VmctlError('vmctl::snapshot::damaged', `The state of ${vm.name} is gone: ${keptState(given)}.`)
    }
    return {
      async load() {
        await revertDisks(vm, given)
        if (kept !== undefined) await writeState(vm, kept === 'suspended' ? 'suspended' : 'running')
      },
      release: async () => undefined,
    }
  },
  freeze: async (vm, {path}, {signal}) => {
    const disk = overlayIn(vm.directory)
    if (!(await pathExists(disk))) await createOverlay(bottomOf(vm), disk, {signal})
    await freezeDisk(disk, path, {signal})
  },
  fork: forkDisks,
  trim: (vm, given) => trimDisks(vm, {...given, isAtRest: true}),
  suspend: (vm) => writeState(vm, 'suspended'),
  resume: (vm) => writeState(vm, 'running'),
  save: async (vm, given) => {
    const state = await readState(vm)
    if (state === undefined) throw new VmctlError('vmctl::vm::invalid_state', `The noop VM ${vm.name} does not run.`)
    const why = whyUnsaveable({devices: vm.spec.devices, shares: vm.attachments?.folders})
    if (why !== undefined) throw new VmctlError('vmctl::snapshot::unsupported', `The memory of ${vm.name} cannot be saved: ${why}.`)
    return {
      hasMemory: true,
      ready: async () => undefined,
      hold: async () => undefined,
      seal: () => writeFileAtomic(keptState(given), state),
      release: async () => undefined,
      settle: async () => undefined,
      [Symbol.asyncDispose]: async () => {
        if (await pathExists(given.mark)) await remove(stateFile(vm))
      },
    }
  },
  load: async (vm, given) => {
    if (!(await pathExists(keptState(given))))
      throw new VmctlError('vmctl::snapshot::damaged', `The state of ${vm.name} is gone: ${keptState(given)}.`)
    return {load: () => writeState(vm, 'suspended'), release: () => writeState(vm, 'running')}
  },
})

const noGuest = (name: string): VmctlError =>
  new VmctlError('vmctl::backend::not_available', `The noop VM ${name} has no guest to talk to.`, {
    help: 'Name an SSH server that stands in for it: `VMCTL_NOOP_SSH=HOST:PORT`.',
    retry: 'never',
  })
