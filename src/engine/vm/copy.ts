import {copyFile} from 'node:fs/promises'
import {basename} from 'node:path'

import {remove} from '../../host/durable.ts'
import {isFailure, VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import type {Attachments, Vm, VmSpec} from '../../model/vm.ts'
import {copiesOf, lockCopies, lockVm, readRecord, requireVm, stageDirectory, writeVm} from '../../store/store.ts'
import {pathExists} from '../../host/files.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {startVm, stopGraceMs, stopVm} from './apply.ts'
import {operation} from './operation.ts'
import {holdRecords, peekRecords} from './records.ts'

const patienceMs = 60_000

/** One copy of a VM at a time; another one waits. */
export const holdCopies = (engine: Engine, name: string, purpose: string): ReturnType<typeof lockCopies> =>
  lockCopies(engine.store, name, {
    purpose,
    timeoutMs: engine.lockTimeoutMs ?? patienceMs,
    signal: engine.signal,
    onWait: (holder) => void engine.emit({type: 'lock.waiting', vm: name, holder}),
  })

/** An engine that goes on after Ctrl+C, for what has to be put right then. */
export const unhurried = (engine: Engine): Engine => ({...engine, signal: new AbortController().signal})

/**
 * Makes a copy of a VM that can be started beside it and reaches nothing: no network, no volume, no share. A VM that runs is stopped for
 * as long as its disk is copied, and started again, whatever happens. The caller holds the copies, and ends this one.
 */
export const copyVm = async (engine: Engine, name: string): Promise<Vm> => {
  await using _lock = await lockVm(engine.store, name, {
    purpose: `copy ${name}`,
    timeoutMs: engine.lockTimeoutMs ?? patienceMs,
    signal: engine.signal,
    onWait: (holder) => void engine.emit({type: 'lock.waiting', vm: name, holder}),
  })
  const vm = await requireVm(engine.store, name)
  const {state} = await (await hypervisorOf(engine, vm)).observe(vm)
  if (state === 'suspended' || state === 'saved') {
    throw new VmctlError('vmctl::vm::invalid_state', `VM ${name} is ${state}; its copy would lose what it has in memory.`, {
      help: `Resume it first: \`vmctl resume ${name}\`.`,
    })
  }
  if (state !== 'running') return await copyAtRest(engine, vm)
  try {
    await stopVm(engine, vm, stopGraceMs(vm.spec))
    return await copyAtRest(engine, vm)
  } finally {
    const calm = unhurried(engine)
    // Who was interrupted in the middle of it must not start what is about to end.
    await stopVm(calm, vm, stopGraceMs(vm.spec))
    await startVm(calm, vm, holdRecords(vm.directory, await peekRecords(vm.directory)))
  }
}

const copyAtRest = async (engine: Engine, vm: Vm): Promise<Vm> => {
  const hypervisor = await hypervisorOf(engine, vm)
  const directory = await stageDirectory(engine.store, vm.name, 'copy')
  try {
    const name = basename(directory)
    const {vmfile: _vmfile, vmfileTraits: _traits, failure: _failure, suspendedAt: _suspended, ...rest} = vm
    const blank: Vm = {...rest, name, directory, spec: aloneSpec(vm.spec, name), attachments: aloneAttachments(vm.attachments)}
    // Before anything is started: by it a later vmctl finds what runs.
    await writeVm(blank)
    const copy = await hypervisor.clone?.(vm, blank, operation(engine, blank))
    if (!copy) throw new VmctlError('vmctl::backend::not_available', `The backend ${vm.backend} cannot copy a VM.`)
    const [from, to] = [vmFiles(vm.directory), vmFiles(directory)]
    for (const file of ['knownHosts', 'privateKey', 'publicKey', 'agentKey', 'guest'] as const)
      if (await pathExists(from[file])) await copyFile(from[file], to[file])
    return copy
  } catch (error) {
    await remove(directory)
    throw error
  }
}

/** Nothing that another VM, the host or the world could notice. */
const aloneSpec = (spec: VmSpec, name: string): VmSpec => {
  const {networks: _networks, ports: _ports, volumes: _volumes, shares: _shares, devices: _devices, dependsOn: _order, ...rest} = spec
  const {port: _port, ...ssh} = spec.ssh ?? {}
  return {
    ...rest,
    name,
    ...(spec.ssh && {ssh}),
    network: spec.network.type === 'none' ? spec.network : {type: 'user', isolated: true},
  }
}

/** A guest waits long for an interface that it knows and that is not there. On a mesh nobody is at the other end. */
const aloneAttachments = (attachments: Attachments | undefined): Attachments => ({
  nics: attachments?.nics.filter(({link}) => link.kind === 'socket') ?? [],
  disks: [],
  folders: [],
})

/** Ends a copy, and removes everything of it. */
export const endCopy = async (engine: Engine, copy: Vm): Promise<void> => {
  await (await hypervisorOf(engine, copy)).destroy(copy, operation(engine, copy))
  await remove(copy.directory)
}

/** Ends what a killed vmctl has left of the copies of a VM. The caller holds the copies. */
export const sweepCopies = async (engine: Engine, name: string): Promise<void> => {
  for (const directory of await copiesOf(engine.store, name)) {
    const copy = await readRecord(directory, basename(directory)).catch(() => undefined)
    // Without a record nothing was started.
    await (copy ? endCopy(engine, copy) : remove(directory))
  }
}

/** The same for who has something else to do, unless somebody is at work on a copy. */
export const sweepIdleCopies = async (engine: Engine, name: string): Promise<void> => {
  if ((await copiesOf(engine.store, name)).length === 0) return
  try {
    await using _lock = await lockCopies(engine.store, name, {purpose: `remove copies of ${name}`, timeoutMs: 0})
    await sweepCopies(engine, name)
  } catch (error) {
    if (!isFailure(error, 'vmctl::vm::locked')) throw error
  }
}
