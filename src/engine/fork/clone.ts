import {randomUUID} from 'node:crypto'
import {join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {makePrivateDirectory} from '../../host/files.ts'
import {VmctlError} from '../../model/errors.ts'
import {vmFiles} from '../../model/layout.ts'
import {isHostname, isVmName, vmNameRule} from '../../model/names.ts'
import {canLogIn} from '../../model/login.ts'
import {noopBackend, type Vm, type VmSpec} from '../../model/vm.ts'
import {adoptDirectory, listVmNames, requireVm, stageDirectory, sweepLeftovers} from '../../store/store.ts'
import {readVolume} from '../../volume/volumes.ts'
import type {Engine} from '../engine.ts'
import {seedContentOf} from '../make/attach.ts'
import {writeCredentials} from '../make/seed.ts'
import {attachNetworks} from '../resources/networks.ts'
import {diskOfVolume, givenVolume, requireOwnVolumes, volumeStoreOf} from '../resources/volumes.ts'
import {freeze, newMoment} from '../snapshot/create.ts'
import {tidyUp} from '../snapshot/common.ts'
import {claimBase, startVm} from '../vm/apply.ts'
import {unhurried} from '../vm/copy.ts'
import {seedGiver} from '../vm/give-seed.ts'
import {operation} from '../vm/operation.ts'
import {lockVms} from '../vm/several.ts'
import {newRecords} from '../vm/records.ts'
import {waitUntilUsable} from '../vm/usable-guest.ts'
import {requireWhole} from '../vm/whole.ts'
import {forkingBackend} from './forkable.ts'

/** A VM that was made of another one; the `--json` shape of `clone`. */
export interface Cloned {
  readonly name: string
  readonly id: string
  readonly from: string
  readonly state: 'prepared' | 'running'
  /** Milliseconds for which the guest of the other one stood still; 0 when it does not run. */
  readonly pausedMs: number
}

/**
 * Makes a VM with what another one has on its disk and its volumes now: a VM of its own, without a VMFile. The other one goes on as it
 * was. Killed at any time, the clone is there as a whole or not at all.
 */
export const cloneVm = async (
  engine: Engine,
  {name, as}: {readonly name: string; readonly as: string},
  {start}: {readonly start: boolean},
): Promise<Cloned> => {
  if (!isVmName(as)) {
    throw new VmctlError('vmctl::usage::invalid', `${JSON.stringify(as)} cannot be the name of a VM: ${vmNameRule}.`)
  }
  await forkingBackend(engine, await requireVm(engine.store, name))
  await requireFree(engine, as)
  await using _locks = await lockVms(engine, [name, as], `vmctl clone ${name} ${as}`)
  await requireFree(engine, as)
  await sweepLeftovers(engine.store, as)
  const vm = await requireVm(engine.store, name)
  requireWhole(vm)
  await requireOwnVolumes(engine, [vm])
  const spec = cloneSpec(vm.spec, as)
  await requireNewVolumes(engine, as, spec)
  await tidyUp(engine, [vm])
  try {
    const {clone, pausedMs} = await make(engine, vm, spec)
    if (start) await begin(engine, clone)
    return {name: as, id: clone.id, from: name, state: start ? 'running' : 'prepared', pausedMs}
  } finally {
    await tidyUp(unhurried(engine), [vm])
  }
}

const requireFree = async (engine: Engine, name: string): Promise<void> => {
  if (!(await listVmNames(engine.store)).includes(name)) return
  throw new VmctlError('vmctl::vm::name_exists', `A VM named ${name} exists already.`, {
    help: `Choose a different name, or destroy the existing VM with \`vmctl destroy ${name}\`.`,
  })
}

const make = async (engine: Engine, vm: Vm, spec: VmSpec): Promise<{readonly clone: Vm; readonly pausedMs: number}> => {
  const hypervisor = await forkingBackend(engine, vm)
  await hypervisor.check(spec)
  const directory = await stageDirectory(engine.store, spec.name)
  try {
    const moment = join(directory, 'moment')
    const id = newMoment()
    const nics = await attachNetworks(engine, spec)
    const {pausedMs} = await freeze(engine, [vm], {id, diskOnly: true, directoryOf: () => moment})
    const {
      vmfile: _file,
      vmfileTraits: _traits,
      failure: _failure,
      suspendedAt: _suspended,
      layer: _layer,
      identity: _identity,
      ...kept
    } = vm
    const clone = await claimBase(engine, {
      ...kept,
      id: randomUUID(),
      name: spec.name,
      directory,
      spec,
      attachments: {nics, disks: [], folders: []},
      derivedFrom: vm.name,
      createdAt: new Date().toISOString(),
      phase: 'prepared',
    })
    await makePrivateDirectory(vmFiles(directory).volumes)
    const volumes = (vm.spec.volumes ?? []).flatMap(({volume}, index) => {
      const from = diskOfVolume(vm, volume.id)
      const as = spec.volumes?.[index]?.volume.id
      return from === undefined || as === undefined ? [] : [{from, to: givenVolume(directory, as)}]
    })
    await hypervisor.fork(vm, clone, {...operation(engine, clone), id, directory: moment, memory: false, shared: false, volumes})
    await hypervisor.prepare(clone, operation(engine, clone))
    await writeCredentials(clone, await seedContentOf(engine, clone), seedGiver(engine, clone))
    await remove(moment)
    engine.signal.throwIfAborted()
    return {clone: {...clone, directory: await adoptDirectory(engine.store, directory, spec.name)}, pausedMs}
  } finally {
    await remove(directory)
  }
}

/** Starts a clone, and waits until its guest is another one where that can be seen. */
const begin = async (engine: Engine, clone: Vm): Promise<void> => {
  const records = newRecords(clone.directory)
  await startVm(engine, clone, records)
  if (canLogIn(clone.spec) && clone.backend !== noopBackend)
    await waitUntilUsable(engine, await requireVm(engine.store, clone.name), records)
}

/** What outlived an earlier clone of that name is not written over. */
const requireNewVolumes = async (engine: Engine, name: string, {volumes = []}: VmSpec): Promise<void> => {
  for (const {volume} of volumes) {
    if (!(await readVolume(volumeStoreOf(engine), volume.id, engine))) continue
    throw new VmctlError('vmctl::vm::name_exists', `A volume ${volume.id} exists already, which the clone ${name} would have.`, {
      help: `Choose a different name, or remove the volume: \`vmctl volume rm ${volume.id}\`.`,
    })
  }
}

/** What can be had once is chosen anew, and the clone belongs to no project. */
const cloneSpec = (spec: VmSpec, name: string): VmSpec => {
  const {project: _project, service: _service, replica: _replica, dependsOn: _order, ssh, ...rest} = spec
  const {port: _port, ...login} = ssh ?? {}
  const {networks, ports, volumes, network, cloudInit} = spec
  return {
    ...rest,
    name,
    network: network.type === 'tap' ? {type: 'tap', bridge: network.bridge} : network,
    ...(ssh && {ssh: login}),
    ...(networks && {networks: networks.map((attachment) => ({network: attachment.network}))}),
    ...(ports && {ports: ports.map(({host: _host, ...port}) => port)}),
    ...(volumes && {
      volumes: volumes.map((mount) => ({...mount, volume: {...mount.volume, id: `${name.replaceAll('.', '-')}.${mount.volume.name}`}})),
    }),
    ...(cloudInit && {cloudInit: {...cloudInit, hostname: hostnameOf(name)}}),
    provision: [],
  }
}

const hostnameOf = (name: string): string => (isHostname(name) ? name : name.replaceAll(/[^A-Za-z0-9-]+/g, '-').replaceAll(/^-+|-+$/g, ''))
