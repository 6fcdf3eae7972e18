import {mkdir} from 'node:fs/promises'
import {join} from 'node:path'

import {expect, test} from 'vitest'

import {makeSpec, makeVm, temporaryDirectory} from '../../../test/support/builders.ts'
import {noopHypervisor} from '../../hypervisor/noop/index.ts'
import {lockVm, openStore, writeVm} from '../../store/store.ts'
import {openEngine} from '../engine.ts'
import {destroy, resume, start, stop} from './lifecycle.ts'

test('a verb holds the lock of its VM until it is done', async () => {
  const store = await openStore(join(temporaryDirectory(), 'state'))
  const verbs: string[] = []
  const probe = (verb: string) => async (): Promise<void> => {
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
    await expect(lockVm(store, 'web', {purpose: 'look', timeoutMs: 0}), verb).rejects.toMatchObject({code: 'vmctl::vm::locked'})
    verbs.push(verb)
  }
  const noop = noopHypervisor()
  const looking = {...noop, name: 'looking', start: probe('start'), stop: probe('stop'), destroy: probe('destroy')}
  const engine = await openEngine({stateDirectory: store.directory, extensions: [{hypervisors: [looking]}]})
  const directory = join(store.vmsDirectory, 'web')
  await mkdir(directory)
  await writeVm(makeVm({directory, backend: 'looking', spec: makeSpec()}))
  await start(engine, 'web')
  await stop({...engine, hypervisors: new Map([['looking', {...looking, observe: async () => ({state: 'running' as const})}]])}, 'web', {
    timeoutMs: 0,
  })
  await destroy(engine, 'web')
  expect(verbs).toEqual(['start', 'stop', 'destroy'])
})

test('a guest that finds no room again is not called resumed', async () => {
  const store = await openStore(join(temporaryDirectory(), 'state'))
  const directory = join(store.vmsDirectory, 'web')
  await mkdir(directory)
  await writeVm(makeVm({directory, backend: 'full', spec: makeSpec()}))
  let resumes = 0
  const full = (isMended: boolean) => ({
    ...noopHypervisor(),
    name: 'full',
    observe: async () =>
      isMended && resumes > 0 ? {state: 'running' as const} : {state: 'suspended' as const, pause: 'the host has no room left'},
    resume: async () => {
      resumes += 1
    },
  })
  const engineWith = (isMended: boolean) => openEngine({stateDirectory: store.directory, extensions: [{hypervisors: [full(isMended)]}]})
  await expect(resume(await engineWith(false), 'web')).rejects.toMatchObject({
    code: 'vmctl::vm::paused',
    message: 'The VM is paused again: the host has no room left.',
  })
  resumes = 0
  expect(await resume(await engineWith(true), 'web')).toMatchObject({state: 'running'})
})
