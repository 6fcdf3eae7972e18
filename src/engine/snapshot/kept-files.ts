import {readFile} from 'node:fs/promises'
import {basename, join} from 'node:path'

import {remove} from '../../host/durable.ts'
import {ioError, pathExists, writeFileAtomic} from '../../host/files.ts'
import {vmFiles} from '../../model/layout.ts'
import type {Vm} from '../../model/vm.ts'
import type {Engine} from '../engine.ts'

/** What there is of a VM besides `vm.json`, and belongs to the state of its disk. */
const recordsOf = async (engine: Engine, {directory, backend}: Vm, like: Pick<Vm, 'directory'>): Promise<readonly string[]> => {
  const {guest, journal, knownHosts, agentKey} = vmFiles(directory)
  const disk = await engine.hypervisors.get(backend)?.disk?.(like.directory)
  return [guest, journal, knownHosts, ...(disk?.seed === undefined ? [] : [join(directory, basename(disk.seed))]), agentKey]
}

const copy = async (from: string, to: string): Promise<void> => {
  const content = await readFile(from).catch((error: unknown) => {
    throw ioError('read', from, error)
  })
  await writeFileAtomic(to, content)
}

/** Copies the records of a VM, its own too, into the directory of a snapshot. */
export const keepRecords = async (engine: Engine, vm: Vm, to: string): Promise<void> => {
  for (const path of [...(await recordsOf(engine, vm, vm)), vmFiles(vm.directory).record])
    if (await pathExists(path)) await copy(path, join(to, basename(path)))
}

/**
 * Puts them back, but for `vm.json`; what was not there then goes.
 * @param like the VM whose they were, which tells which files there are
 */
export const putRecordsBack = async (
  engine: Engine,
  vm: Vm,
  {from, like = vm}: {readonly from: string; readonly like?: Vm},
): Promise<void> => {
  for (const path of await recordsOf(engine, vm, like)) {
    const kept = join(from, basename(path))
    if (await pathExists(kept)) await copy(kept, path)
    else await remove(path)
  }
  // What was seen of the guest since is no news of the one that comes back.
  await remove(vmFiles(vm.directory).health)
}
