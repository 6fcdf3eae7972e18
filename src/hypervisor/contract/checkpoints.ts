import {mkdir, readdir} from 'node:fs/promises'
import {join} from 'node:path'

import {expect} from 'vitest'

import type {Vm} from '../../model/vm.ts'
import type {Checkpoint, CheckpointOptions} from '../hypervisor.ts'
import {type It, signal} from './bench.ts'

const phases = ['ready', 'hold', 'seal', 'release', 'settle'] as const

/** What the engine says of a checkpoint, whose directory it has made. */
const optionsFor = async (vm: Vm, id: string, memory = true): Promise<CheckpointOptions> => {
  const snapshots = join(vm.directory, 'snapshots')
  for (const directory of [snapshots, join(snapshots, id)]) await mkdir(directory, {mode: 0o700}).catch(() => undefined)
  return {id, directory: join(snapshots, id), memory, signal: signal()}
}

/** Goes through the first phases, and gives it up then when there are more. */
const run = async (checkpoint: Checkpoint, count: number = phases.length): Promise<void> => {
  await using one = checkpoint
  for (const phase of phases.slice(0, count)) await one[phase]()
}

const idOf = (number: number): string => number.toString(16).padStart(12, '0')

/** Moments of VMs: kept in whatever state, given up half-way, and put back. */
export const testCheckpoints = (it: It): void => {
  it('a checkpoint leaves a VM as it is: at rest, running, or suspended', async ({hypervisor, prepare, start, stateOf}, context) => {
    if (!hypervisor.checkpoint) return context.skip('this backend makes no checkpoints')
    const vm = await prepare()
    await run(await hypervisor.checkpoint(vm, await optionsFor(vm, idOf(1))))
    expect(await stateOf(vm)).toBe('prepared')
    const started = await start(vm)
    const {pid} = await hypervisor.observe(started)
    // Two with memory: the second is of what the first has left.
    for (const [number, memory] of [true, false, true].entries()) {
      await run(await hypervisor.checkpoint(started, await optionsFor(vm, idOf(number + 2), memory)))
      expect(await hypervisor.observe(started)).toMatchObject({state: 'running', ...(pid !== undefined && {pid})})
    }
    if (!hypervisor.suspend) return
    await hypervisor.suspend(started, {signal: signal()})
    await run(await hypervisor.checkpoint(started, await optionsFor(vm, idOf(5))))
    expect(await stateOf(started)).toBe('suspended')
  })

  it('a checkpoint that is given up, in whatever phase, leaves a guest that runs and nothing else', async ({
    hypervisor,
    prepare,
    start,
    stop,
    stateOf,
  }, context) => {
    if (!hypervisor.checkpoint) return context.skip('this backend makes no checkpoints')
    const vm = await start(await prepare())
    for (let count = 0; count < phases.length; count++) {
      await run(await hypervisor.checkpoint(vm, await optionsFor(vm, idOf(count + 1))), count)
      expect(await stateOf(vm), `given up after ${count} phases`).toBe('running')
    }
    await stop(vm)
    expect(await hypervisor.trim?.(vm, {keep: [], signal: signal()})).toEqual([])
    expect((await readdir(vm.directory)).filter((name) => phases.some((_, count) => name.includes(idOf(count + 1))))).toEqual([])
    await start(vm)
    expect(await stateOf(vm)).toBe('running')
  })

  it('a VM is put back to a checkpoint: with memory it runs, without it is at rest', async ({
    hypervisor,
    prepare,
    start,
    stop,
    stateOf,
    expectNothingRuns,
  }, context) => {
    const {checkpoint, restore} = hypervisor
    if (!checkpoint || !restore) return context.skip('this backend makes no checkpoints')
    const vm = await start(await prepare())
    const id = idOf(1)
    await run(await checkpoint(vm, await optionsFor(vm, id)))
    for (const memory of [true, false, true]) {
      const restoration = await restore(vm, await optionsFor(vm, id, memory))
      expect(await stateOf(vm), 'nothing is changed by the check').not.toBe('failed')
      await stop(vm)
      await restoration.load()
      await restoration.release()
      if (memory) expect(await stateOf(vm)).toBe('running')
      else await expectNothingRuns(vm)
    }
    await stop(vm)
    expect(await hypervisor.trim?.(vm, {keep: [], signal: signal()})).toEqual([])
  })

  it('what is not there is refused while the VM runs', async ({hypervisor, prepare, start, stateOf}, context) => {
    if (!hypervisor.restore) return context.skip('this backend makes no checkpoints')
    const vm = await start(await prepare())
    await expect(hypervisor.restore(vm, await optionsFor(vm, idOf(1)))).rejects.toMatchObject({code: 'vmctl::snapshot::damaged'})
    expect(await stateOf(vm)).toBe('running')
  })
}
