import {mkdir, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'

import {expect} from 'vitest'

import type {Vm} from '../../model/vm.ts'
import type {SaveOptions} from '../hypervisor.ts'
import {type Bench, type It, signal} from './bench.ts'

const phases = ['ready', 'hold', 'seal', 'settle'] as const

const mark = {savedAt: '2026-01-01T00:00:00.000Z', bytes: 1}

/** What the engine says of a guest that is saved, whose directory it has made. */
const optionsFor = async (vm: Vm): Promise<SaveOptions> => {
  const directory = join(vm.directory, 'saved')
  await rm(directory, {recursive: true, force: true})
  await mkdir(directory, {mode: 0o700})
  return {directory, mark: join(vm.directory, 'saved.json'), signal: signal()}
}

/** Saves a guest that runs, as the engine does; the record that comes back says so. */
const save = async ({hypervisor}: Bench, vm: Vm): Promise<{readonly saved: Vm; readonly options: SaveOptions}> => {
  const options = await optionsFor(vm)
  const saving = await hypervisor.save?.(vm, options)
  for (const phase of phases) await saving?.[phase]()
  await writeFile(options.mark, JSON.stringify(mark))
  await saving?.[Symbol.asyncDispose]()
  return {saved: {...vm, saved: mark}, options}
}

/** Guests whose memory goes to disk, and comes back. */
export const testSaved = (it: It): void => {
  it('a guest that is saved is at rest, and goes on when it is loaded, as often as one likes', async (bench, context) => {
    const {hypervisor, prepare, start, stop, stateOf, expectNothingRuns} = bench
    const {load} = hypervisor
    if (!hypervisor.save || !load) return context.skip('this backend saves no guests')
    const vm = await start(await prepare())
    for (let round = 0; round < 2; round++) {
      const {saved, options} = await save(bench, vm)
      expect(await stateOf(saved)).toBe('saved')
      await expectNothingRuns(saved)
      const restoration = await load(saved, options)
      await restoration.load()
      await rm(options.mark)
      await restoration.release()
      expect(await stateOf(vm)).toBe('running')
    }
    await stop(vm)
    await expectNothingRuns(vm)
  })

  it('a guest that was suspended runs when it is loaded', async (bench, context) => {
    const {hypervisor, prepare, start, stateOf} = bench
    const {load, suspend} = hypervisor
    if (!hypervisor.save || !load || !suspend) return context.skip('this backend saves no guests that are suspended')
    const vm = await start(await prepare())
    await suspend(vm, {signal: signal()})
    const {saved, options} = await save(bench, vm)
    const restoration = await load(saved, options)
    await restoration.load()
    await rm(options.mark)
    await restoration.release()
    expect(await stateOf(vm)).toBe('running')
  })

  it('without its mark a guest goes on, in whatever phase saving is given up', async ({
    hypervisor,
    prepare,
    start,
    stop,
    stateOf,
  }, context) => {
    if (!hypervisor.save) return context.skip('this backend saves no guests')
    const vm = await start(await prepare())
    const {pid} = await hypervisor.observe(vm)
    for (let count = 0; count <= phases.length; count++) {
      const saving = await hypervisor.save(vm, await optionsFor(vm))
      for (const phase of phases.slice(0, count)) await saving[phase]()
      await saving[Symbol.asyncDispose]()
      expect(await hypervisor.observe(vm), `given up after ${count} phases`).toMatchObject({
        state: 'running',
        ...(pid !== undefined && {pid}),
      })
    }
    await stop(vm)
    expect(await stateOf(vm)).toBe('stopped')
  })

  it('with its mark a guest that was loaded ends without having run, and can be loaded again', async (bench, context) => {
    const {hypervisor, prepare, start, stop, stateOf, expectNothingRuns} = bench
    const {load} = hypervisor
    if (!hypervisor.save || !load) return context.skip('this backend saves no guests')
    const vm = await start(await prepare())
    const {saved, options} = await save(bench, vm)
    await (await load(saved, options)).load()
    expect(await stateOf(saved)).toBe('saved')
    await stop(saved)
    await expectNothingRuns(saved)
    const again = await load(saved, options)
    await again.load()
    // A killed vmctl leaves what it has loaded; whoever comes next begins anew.
    const third = await load(saved, options)
    await third.load()
    await rm(options.mark)
    await third.release()
    expect(await stateOf(vm)).toBe('running')
  })

  it('a checkpoint of a guest that is saved has its memory, and leaves it saved', async (bench, context) => {
    const {hypervisor, prepare, start, stateOf} = bench
    const {checkpoint, load, restore} = hypervisor
    if (!hypervisor.save || !load || !checkpoint || !restore) return context.skip('this backend saves no guests, or makes no checkpoints')
    const vm = await start(await prepare())
    const {saved, options} = await save(bench, vm)
    const id = '000000000001'
    const directory = join(vm.directory, 'snapshots', id)
    for (const path of [join(vm.directory, 'snapshots'), directory]) await mkdir(path, {mode: 0o700})
    const kept = {id, directory, memory: true, signal: signal()}
    const made = await checkpoint(saved, kept)
    expect(made.hasMemory).toBe(true)
    for (const phase of ['ready', 'hold', 'seal', 'release', 'settle'] as const) await made[phase]()
    await made[Symbol.asyncDispose]()
    expect(await stateOf(saved)).toBe('saved')
    const loaded = await load(saved, options)
    await loaded.load()
    await rm(options.mark)
    await loaded.release()
    expect(await stateOf(vm)).toBe('running')
    const restoration = await restore(vm, kept)
    await bench.stop(vm)
    await restoration.load()
    await restoration.release()
    expect(await stateOf(vm)).toBe('running')
  })

  it('memory that is not there is refused before anything is started', async (bench, context) => {
    const {hypervisor, prepare, start, expectNothingRuns} = bench
    if (!hypervisor.save || !hypervisor.load) return context.skip('this backend saves no guests')
    const {saved} = await save(bench, await start(await prepare()))
    await expect(hypervisor.load(saved, await optionsFor(saved))).rejects.toMatchObject({code: 'vmctl::snapshot::damaged'})
    await expectNothingRuns(saved)
  })
}
