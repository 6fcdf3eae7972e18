import {dirname} from 'node:path'

import {remove, syncDirectory} from '../../host/durable.ts'
import {isFailure, VmctlError} from '../../model/errors.ts'
import {closest} from '../../model/names.ts'
import {stopNetwork} from '../../network/network.ts'
import {listNetworkIds, readNetwork} from '../../network/record.ts'
import {type Fork, forgetForkLock, idleForks, listForks, lockFork} from '../../store/forks.ts'
import {listVms, openStore, readVm} from '../../store/store.ts'
import {type Engine, hypervisorOf} from '../engine.ts'
import {storeOf} from '../resources/networks.ts'
import {tidyUp} from '../snapshot/common.ts'
import {operation} from '../vm/operation.ts'
import {lockVms} from '../vm/several.ts'

/** A fork that is no more; the `--json` shape of `try --remove`. */
export interface RemovedFork {
  readonly fork: string
  readonly vms: readonly string[]
}

/**
 * Ends the VMs of a fork, and removes everything of it. The VMs that it was made of get rid of what it rested on, unless another command
 * is at work on them. May be repeated. The caller holds the lock of the fork.
 */
export const endFork = async (engine: Engine, {id, directory, vms}: Fork): Promise<void> => {
  const own: Engine = {...engine, store: await openStore(directory)}
  for (const vm of await listVms(own.store)) await (await hypervisorOf(own, vm)).destroy(vm, operation(own, vm))
  for (const network of await listNetworkIds(storeOf(own))) {
    const record = await readNetwork(storeOf(own), network).catch(() => undefined)
    if (record) await stopNetwork(storeOf(own), record)
  }
  await remove(directory)
  await syncDirectory(dirname(directory))
  await forgetForkLock(engine.store, id)
  await letGo(engine, vms)
}

const letGo = async (engine: Engine, names: readonly string[]): Promise<void> => {
  try {
    const vms = (await Promise.all(names.map((name) => readVm(engine.store, name).catch(() => undefined)))).filter((vm) => vm !== undefined)
    await using _locks = await lockVms(
      {...engine, lockTimeoutMs: 0},
      vms.map(({name}) => name),
      'vmctl try',
    )
    await tidyUp(engine, vms)
  } catch (error) {
    if (!isFailure(error, 'vmctl::vm::locked')) throw error
  }
}

/** Removes a fork that was kept, or that a killed command has left. */
export const removeFork = async (engine: Engine, id: string): Promise<RemovedFork> => {
  const all = await listForks(engine.store)
  const fork = all.find((one) => one.id === id)
  if (!fork) {
    const known = all.map((one) => one.id)
    const suggestion = closest(id, known)
    throw new VmctlError('vmctl::vm::not_found', `There is no fork ${JSON.stringify(id)}.`, {
      help:
        suggestion === undefined
          ? known.length === 0
            ? 'There is none.'
            : `There are: ${known.join(', ')}.`
          : `Did you mean ${suggestion}?`,
    })
  }
  await using _lock = await lockFork(engine.store, id)
  await endFork(engine, fork)
  return {fork: id, vms: fork.vms}
}

/** Removes the forks that killed commands have left. */
export const sweepForks = async (engine: Engine): Promise<void> => {
  for (const {id, keep} of await idleForks(engine.store)) if (!keep) await removeFork(engine, id)
}

/** What is said of forks of these VMs that nobody is at work on; of all when none is named. */
export const forkNotices = async (engine: Engine, names: readonly string[] = []): Promise<readonly string[]> => {
  const idle = await idleForks(engine.store)
  return idle
    .filter(({vms}) => names.length === 0 || vms.length === 0 || vms.some((name) => names.includes(name)))
    .map(({id, vms, keep}) => {
      const of = vms.length === 0 ? '' : ` of ${vms.join(', ')}`
      return `The fork ${id}${of} ${keep ? 'is kept' : 'was left by a `vmctl try` that was killed'}; \`vmctl try --remove ${id}\` removes it.`
    })
}
