import {readdir, stat} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {expect} from 'vitest'

import {hashFile} from '../../host/hash.ts'
import {imageInfo} from '../../host/qemu-img.ts'
import type {Vm} from '../../model/vm.ts'
import {type It, signal} from './bench.ts'

/** What the verbs on a VM do, in the order of its life, cancelled and repeated. */
export const testLife = (it: It): void => {
  it('a life: prepared, running, stopped, running, stopped', async ({prepare, start, stop, stateOf, expectNothingRuns}) => {
    const vm = await prepare()
    expect(await stateOf(vm)).toBe('prepared')
    const started = await start(vm)
    expect(await stateOf(started)).toBe('running')
    await stop(started)
    expect(await stateOf(started)).toBe('stopped')
    await expectNothingRuns(started)
    await start(started)
    expect(await stateOf(started)).toBe('running')
    await stop(started)
    await expectNothingRuns(started)
  })

  it('prepare keeps what exists', async ({hypervisor, prepare, start, stateOf}) => {
    const vm = await prepare()
    const before = await inodes(vm.directory)
    const observed = await hypervisor.observe(vm)
    await hypervisor.prepare(vm, {signal: signal()})
    expect(await inodes(vm.directory)).toEqual(before)
    expect(await hypervisor.observe(vm)).toEqual(observed)
    const started = await start(vm)
    await hypervisor.prepare(started, {signal: signal()})
    expect(await stateOf(started)).toBe('running')
  })

  it('start twice is one VM', async ({harness, hypervisor, prepare, start}) => {
    const vm = await start(await prepare())
    const {pid} = await hypervisor.observe(vm)
    await hypervisor.start(vm, {signal: signal()})
    expect((await hypervisor.observe(vm)).pid).toBe(pid)
    if (harness.processes) expect(await harness.processes(vm)).toHaveLength(1)
  })

  it('stop of a VM that does not run does nothing', async ({prepare, start, stop, stateOf}) => {
    const vm = await prepare()
    await stop(vm)
    expect(await stateOf(vm)).toBe('prepared')
    const started = await start(vm)
    await stop(started)
    await stop(started)
    expect(await stateOf(started)).toBe('stopped')
  })

  it('a guest that does not react is forced off', async ({hypervisor, prepare, start, expectNothingRuns}) => {
    const vm = await start(await prepare())
    await hypervisor.stop(vm, {signal: signal(), timeoutMs: 0})
    await expectNothingRuns(vm)
  })

  it('destroy ends the VM and gives everything back, once or twice', async ({harness, hypervisor, prepare, start, expectNothingRuns}) => {
    const vm = await start(await prepare())
    await hypervisor.destroy(vm, {signal: signal()})
    await expectNothingRuns(vm)
    expect((await harness.leftovers?.(vm)) ?? []).toEqual([])
    await hypervisor.destroy(vm, {signal: signal()})
    const neverPrepared = await harness.makeVm()
    await hypervisor.destroy(neverPrepared, {signal: signal()})
    await expectNothingRuns(neverPrepared)
  })

  it('suspend and resume', async ({hypervisor, prepare, start, stateOf}, context) => {
    const {suspend, resume} = hypervisor
    if (!suspend || !resume) return context.skip('this backend cannot suspend')
    const vm = await start(await prepare())
    await hypervisor.suspend?.(vm, {signal: signal()})
    expect(await stateOf(vm)).toBe('suspended')
    await hypervisor.resume?.(vm, {signal: signal()})
    expect(await stateOf(vm)).toBe('running')
  })

  it('a suspended VM can be stopped, and destroyed', async ({hypervisor, prepare, start, stop, stateOf, expectNothingRuns}, context) => {
    if (!hypervisor.suspend) return context.skip('this backend cannot suspend')
    const vm = await start(await prepare())
    await hypervisor.suspend(vm, {signal: signal()})
    await stop(vm)
    expect(await stateOf(vm)).toBe('stopped')
    await expectNothingRuns(vm)
    await start(vm)
    expect(await stateOf(vm)).toBe('running')
    await hypervisor.suspend(vm, {signal: signal()})
    await hypervisor.destroy(vm, {signal: signal()})
    await expectNothingRuns(vm)
  })

  it('a start that is cancelled leaves nothing that runs, and can be repeated', async ({
    hypervisor,
    prepare,
    start,
    stop,
    stateOf,
    expectNothingRuns,
  }) => {
    const vm = await prepare()
    const reason = new Error('cancelled by the test')
    await expect(hypervisor.start(vm, {signal: AbortSignal.abort(reason)})).rejects.toBe(reason)
    await expectNothingRuns(vm)
    for (const delayMs of [0, 1, 5, 20, 50]) {
      const abort = new AbortController()
      const outcome = hypervisor.start(vm, {signal: abort.signal}).then(
        () => 'started',
        (error: unknown) => error,
      )
      await sleep(delayMs)
      abort.abort(reason)
      if ((await outcome) === 'started') await stop(vm)
      else expect(await outcome).toBe(reason)
      await expectNothingRuns(vm)
    }
    expect(await stateOf(await start(vm))).toBe('running')
  })

  it('a process that is killed is seen, and the VM can be started again', async ({
    hypervisor,
    prepare,
    start,
    stateOf,
    expectNothingRuns,
  }, context) => {
    const vm = await start(await prepare())
    const {pid} = await hypervisor.observe(vm)
    if (pid === undefined) return context.skip('this backend has no process')
    process.kill(pid, 'SIGKILL')
    while ((await stateOf(vm)) === 'running') await sleep(5)
    expect(await stateOf(vm)).toBe('stopped')
    await expectNothingRuns(vm)
    await start(vm)
    const again = await hypervisor.observe(vm)
    expect(again.state).toBe('running')
    expect(again.pid).not.toBe(pid)
  })

  it('a copy has the disk of the VM, which stays as it was, and runs beside it', async ({
    harness,
    hypervisor,
    prepare,
    start,
    stateOf,
  }, context) => {
    const {clone, exportDisk} = hypervisor
    if (!clone || !exportDisk) return context.skip('this backend cannot copy a VM')
    const vm = await prepare()
    const [before, observed] = [await inodes(vm.directory), await hypervisor.observe(vm)]
    const blank = await harness.makeVm()
    const copy = await hypervisor.clone?.(vm, {...blank, name: 'copy'}, {signal: signal()})
    if (!copy) throw new Error('there is no copy')
    const digests = new Set<string>()
    for (const [name, each] of Object.entries({vm, copy})) {
      const path = join(copy.directory, `${name}.img`)
      await hypervisor.exportDisk?.(each, {path, format: 'raw', compressed: false}, {signal: signal()})
      digests.add(await hashFile(path))
      const small = `${path}.small`
      await hypervisor.exportDisk?.(each, {path: small, format: 'qcow2', compressed: true}, {signal: signal()})
      expect((await imageInfo(small, {format: 'qcow2'})).virtualSizeBytes).toBe((await stat(path)).size)
    }
    expect(digests.size).toBe(1)
    expect(await inodes(vm.directory)).toEqual(before)
    expect(await hypervisor.observe(vm)).toEqual(observed)
    const started = await start(vm)
    expect(await stateOf(await start(copy))).toBe('running')
    await hypervisor.destroy(copy, {signal: signal()})
    expect(await stateOf(started)).toBe('running')
  })

  it('two VMs do not disturb each other', async ({harness, hypervisor, prepare, start, stop, expectNothingRuns}) => {
    const makeNamed = async (name: string): Promise<Vm> => {
      const {spec} = await harness.makeVm()
      return start(await prepare({name, spec: {...spec, name}}))
    }
    const [left, right] = await Promise.all([makeNamed('left'), makeNamed('right')])
    const [one, two] = [await hypervisor.observe(left), await hypervisor.observe(right)]
    expect([one.state, two.state]).toEqual(['running', 'running'])
    if (one.pid !== undefined) expect(one.pid).not.toBe(two.pid)
    if (one.macAddress !== undefined) expect(one.macAddress).not.toBe(two.macAddress)
    await hypervisor.destroy(left, {signal: signal()})
    expect(await hypervisor.observe(right)).toEqual(two)
    await hypervisor.suspend?.(right, {signal: signal()})
    await expectNothingRuns(left)
    await stop(right)
    await expectNothingRuns(right)
  })
}

/** Which file each name stands for; records may be rewritten. */
const inodes = async (directory: string): Promise<string[]> => {
  const entries = (await readdir(directory)).filter((name) => !name.endsWith('.json'))
  return Promise.all(entries.toSorted().map(async (name) => `${name} ${(await stat(join(directory, name))).ino}`))
}
