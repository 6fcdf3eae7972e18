import {mkdir} from 'node:fs/promises'
import {join} from 'node:path'

import {expect} from 'vitest'

import {hashFile} from '../../host/hash.ts'
import {imageInfo} from '../../host/qemu-img.ts'
import type {DiskLayer} from '../../model/storage.ts'
import type {Vm} from '../../model/vm.ts'
import type {Hypervisor} from '../hypervisor.ts'
import {type It, signal} from './bench.ts'

/** Freezes the disk of a VM, among the layers that the engine would have. */
const freeze = async (hypervisor: Hypervisor, vm: Vm, number: number): Promise<DiskLayer> => {
  const id = number.toString(16).padStart(12, '0')
  const directory = join(vm.directory, 'layers')
  await mkdir(directory, {mode: 0o700}).catch(() => undefined)
  const path = join(directory, `layer-${id}.qcow2`)
  await hypervisor.freeze?.(vm, {id, path}, {signal: signal()})
  const {virtualSizeBytes} = await imageInfo(path, {format: 'qcow2'})
  return {id, path, virtualSizeBytes}
}

/** Layers of disks, which VMs share and nothing writes to. */
export const testLayers = (it: It): void => {
  it('a layer is made of the disk of a VM that is at rest, and of one that runs and goes on', async ({
    hypervisor,
    prepare,
    start,
    stop,
    stateOf,
  }, context) => {
    if (!hypervisor.freeze) return context.skip('this backend makes no layers')
    const vm = await prepare()
    const first = await freeze(hypervisor, vm, 1)
    const started = await start(vm)
    const {pid} = await hypervisor.observe(started)
    const second = await freeze(hypervisor, started, 2)
    const third = await freeze(hypervisor, started, 3)
    expect(await hypervisor.observe(started)).toMatchObject({state: 'running', ...(pid !== undefined && {pid})})
    expect((await imageInfo(third.path)).backingFile).toBe(second.path)
    expect((await imageInfo(second.path)).backingFile).toBe(first.path)
    const before = await Promise.all([first, second, third].map(({path}) => hashFile(path)))
    await stop(started)
    await start(vm)
    await stop(started)
    expect(await Promise.all([first, second, third].map(({path}) => hashFile(path)))).toEqual(before)
    expect(await stateOf(started)).toBe('stopped')
  })

  it('VMs are made on a layer, side by side with the one that it was made of', async ({hypervisor, prepare, start, stateOf}, context) => {
    if (!hypervisor.freeze) return context.skip('this backend makes no layers')
    const vm = await start(await prepare())
    const layer = await freeze(hypervisor, vm, 1)
    const before = await hashFile(layer.path)
    const others = [await start(await prepare({layer})), await start(await prepare({layer}))]
    for (const one of [vm, ...others]) expect(await stateOf(one)).toBe('running')
    for (const one of others) {
      const disk = (await hypervisor.disk?.(one.directory))?.path
      if (disk !== undefined) expect((await imageInfo(disk)).backingFile).toBe(layer.path)
    }
    const next = await freeze(hypervisor, others[0] ?? vm, 2)
    expect((await imageInfo(next.path)).backingFile).toBe(layer.path)
    expect(await hashFile(layer.path)).toBe(before)
  })

  it('a layer that is there already is not touched, and the VM goes on', async ({hypervisor, prepare, start, stateOf}, context) => {
    if (!hypervisor.freeze) return context.skip('this backend makes no layers')
    const vm = await start(await prepare())
    const {path} = await freeze(hypervisor, vm, 1)
    const before = await hashFile(path)
    await expect(freeze(hypervisor, vm, 1)).rejects.toThrow(/EEXIST/)
    expect(await stateOf(vm)).toBe('running')
    expect(await hashFile(path)).toBe(before)
    await freeze(hypervisor, vm, 2)
    expect(await stateOf(vm)).toBe('running')
  })
}
